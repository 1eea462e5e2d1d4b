//! Text from ids that come one at a time.

use super::Tokenizer;

/// Turns a stream of ids into pieces of text that are each valid UTF-8: bytes of a character that is not complete yet are held back.
///
/// What a token looks like may depend on those before it (SentencePiece drops the first space), so each piece is the difference between
/// two decodings that begin at an earlier token.
#[derive(Debug)]
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    skip_special: bool,
    ids: Vec<u32>,
    /// Where the decodings that are compared begin.
    start: usize,
    /// Ids whose text was handed out.
    read: usize,
}

impl<'a> Detokenizer<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, skip_special: bool) -> Self {
        Self { tokenizer, skip_special, ids: Vec::new(), start: 0, read: 0 }
    }

    /// Adds an id and returns the text that is certain now, which may be empty.
    pub fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        let text = self.pending();
        if text.is_empty() || text.ends_with('\u{fffd}') {
            return String::new();
        }
        self.start = self.read;
        self.read = self.ids.len();
        text
    }

    /// The text of what was held back, with a replacement character for an incomplete one.
    pub fn finish(mut self) -> String {
        let text = self.pending();
        self.read = self.ids.len();
        text
    }

    fn pending(&self) -> String {
        let before = self.tokenizer.decode(&self.ids[self.start..self.read], self.skip_special);
        let after = self.tokenizer.decode(&self.ids[self.start..], self.skip_special);
        after.strip_prefix(before.as_str()).unwrap_or_default().to_owned()
    }
}
