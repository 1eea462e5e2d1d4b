//! SentencePiece's BPE (Kudo and Richardson 2018) from a GGUF file's metadata: the two neighbours whose joined text has the highest score
//! merge first, and what is no token in the end is spelt in bytes. The steps are llama.cpp's, so ids are too.

use super::Encoding;
use super::special_tokens::{BYTE, CONTROL, UNKNOWN, USER_DEFINED};
use crate::Error;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use temper_artifact::GgufTokenizer;

/// How SentencePiece writes a space.
pub(super) const SPACE: char = '\u{2581}';

#[derive(Debug)]
pub(super) struct SentencePiece {
    tokens: Vec<Token>,
    ids: HashMap<String, u32>,
    bytes: [Option<u32>; 256],
    /// Tokens that are found in a text before anything else, longest first.
    special: Vec<u32>,
    unknown: u32,
    bos: Option<u32>,
    eos: Option<u32>,
    space_prefix: bool,
}

#[derive(Debug)]
struct Token {
    text: String,
    score: f32,
    kind: i32,
}

impl SentencePiece {
    pub(super) fn new(metadata: &GgufTokenizer) -> Result<Self, Error> {
        if metadata.scores.len() != metadata.tokens.len() || metadata.token_types.len() != metadata.tokens.len() {
            return Err(Error::tokenizer(
                "the GGUF file's SentencePiece tokenizer lacks tokenizer.ggml.scores or tokenizer.ggml.token_type; convert the model anew",
            ));
        }
        let tokens: Vec<Token> = metadata
            .tokens
            .iter()
            .zip(&metadata.scores)
            .zip(&metadata.token_types)
            .map(|((text, &score), &kind)| Token { text: text.clone(), score, kind })
            .collect();
        let ids: HashMap<String, u32> = tokens.iter().enumerate().map(|(id, token)| (token.text.clone(), id as u32)).collect();
        let mut bytes = [None; 256];
        for (value, id) in bytes.iter_mut().enumerate() {
            *id = ids.get(&format!("<0x{value:02X}>")).copied();
        }
        let mut special: Vec<u32> =
            (0..tokens.len() as u32).filter(|&id| tokens[id as usize].is_special() && !tokens[id as usize].text.is_empty()).collect();
        special.sort_by_key(|&id| std::cmp::Reverse(tokens[id as usize].text.len()));
        Ok(Self {
            ids,
            bytes,
            special,
            unknown: metadata.unk.unwrap_or(0),
            bos: metadata.bos.filter(|_| metadata.add_bos.unwrap_or(true)),
            eos: metadata.eos.filter(|_| metadata.add_eos.unwrap_or(false)),
            space_prefix: metadata.add_space_prefix.unwrap_or(true),
            tokens,
        })
    }

    pub(super) fn token_id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    pub(super) fn is_control(&self, id: u32) -> bool {
        self.tokens.get(id as usize).is_some_and(|token| matches!(token.kind, CONTROL | UNKNOWN))
    }

    pub(super) fn encode(&self, text: &str, add_special: bool) -> Encoding {
        let mut encoding = Encoding::default();
        if let Some(bos) = self.bos.filter(|_| add_special) {
            encoding.ids.push(bos);
            encoding.spans.push(None);
        }
        let mut after_special = true;
        for part in self.parts(text) {
            match part {
                Part::Special(id, span) => {
                    encoding.ids.push(id);
                    encoding.spans.push(Some(span));
                    after_special = true;
                }
                Part::Text(span) => {
                    self.encode_part(text, span, after_special && self.space_prefix, &mut encoding);
                    after_special = false;
                }
            }
        }
        if let Some(eos) = self.eos.filter(|_| add_special) {
            encoding.ids.push(eos);
            encoding.spans.push(None);
        }
        encoding
    }

    /// Cuts special tokens out of the text, the longest first, wherever they stand.
    fn parts(&self, text: &str) -> Vec<Part> {
        let mut parts = vec![Part::Text(0..text.len())];
        for &id in &self.special {
            let needle = &self.tokens[id as usize].text;
            if !text.contains(needle.as_str()) {
                continue;
            }
            let mut cut = Vec::with_capacity(parts.len());
            for part in parts {
                let Part::Text(span) = part else {
                    cut.push(part);
                    continue;
                };
                let mut rest = span;
                while let Some(found) = text[rest.clone()].find(needle.as_str()) {
                    let start = rest.start + found;
                    if found > 0 {
                        cut.push(Part::Text(rest.start..start));
                    }
                    cut.push(Part::Special(id, start..start + needle.len()));
                    rest.start = start + needle.len();
                }
                if !rest.is_empty() {
                    cut.push(Part::Text(rest));
                }
            }
            parts = cut;
        }
        parts.retain(|part| !matches!(part, Part::Text(span) if span.is_empty()));
        parts
    }

    fn encode_part(&self, text: &str, span: Range<usize>, space_prefix: bool, encoding: &mut Encoding) {
        let mut escaped = String::with_capacity(span.len() + 3);
        // Where each byte of the escaped text comes from.
        let mut origin = Vec::with_capacity(span.len() + 3);
        if space_prefix {
            escaped.push(SPACE);
            origin.resize(escaped.len(), span.start..span.start);
        }
        for (at, letter) in text[span.clone()].char_indices() {
            let from = span.start + at..span.start + at + letter.len_utf8();
            escaped.push(if letter == ' ' { SPACE } else { letter });
            origin.resize(escaped.len(), from);
        }
        for piece in self.merge(&escaped) {
            let from = origin[piece.start].start..origin[piece.end - 1].end;
            match self.ids.get(&escaped[piece.clone()]) {
                Some(&id) => {
                    encoding.ids.push(id);
                    encoding.spans.push(Some(from));
                }
                None => {
                    for byte in escaped[piece].bytes() {
                        encoding.ids.push(self.bytes[usize::from(byte)].unwrap_or(self.unknown));
                        encoding.spans.push(Some(from.clone()));
                    }
                }
            }
        }
    }

    /// Joins neighbours, best score first (the leftmost among equals), until no joined text is a token. Returns the pieces.
    fn merge(&self, text: &str) -> Vec<Range<usize>> {
        const NONE: usize = usize::MAX;
        struct Symbol {
            span: Range<usize>,
            previous: usize,
            next: usize,
        }
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(index, (at, letter))| Symbol { span: at..at + letter.len_utf8(), previous: index.wrapping_sub(1), next: index + 1 })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        let mut queue = BinaryHeap::new();
        let candidate = |symbols: &[Symbol], left: usize, right: usize| -> Option<Candidate> {
            if left == NONE || right == NONE {
                return None;
            }
            let span = symbols[left].span.start..symbols[right].span.end;
            let &id = self.ids.get(&text[span.clone()])?;
            Some(Candidate { score: self.tokens[id as usize].score, left, right, bytes: span.len() })
        };
        queue.extend((1..symbols.len()).filter_map(|right| candidate(&symbols, right - 1, right)));
        while let Some(Candidate { left, right, bytes, .. }) = queue.pop() {
            let (left_bytes, right_bytes) = (symbols[left].span.len(), symbols[right].span.len());
            // One of the two has merged with another meanwhile.
            if left_bytes == 0 || right_bytes == 0 || left_bytes + right_bytes != bytes {
                continue;
            }
            symbols[left].span.end = symbols[right].span.end;
            symbols[right].span.start = symbols[right].span.end;
            let next = symbols[right].next;
            symbols[left].next = next;
            if next != NONE {
                symbols[next].previous = left;
            }
            let previous = symbols[left].previous;
            queue.extend(candidate(&symbols, previous, left));
            queue.extend(candidate(&symbols, left, next));
        }
        symbols.into_iter().map(|symbol| symbol.span).filter(|span| !span.is_empty()).collect()
    }

    pub(super) fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            let Some(token) = self.tokens.get(id as usize) else { continue };
            match token.kind {
                CONTROL | UNKNOWN if skip_special => {}
                BYTE => match token.text.get(3..5).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                    Some(byte) => bytes.push(byte),
                    None => bytes.extend_from_slice(token.text.as_bytes()),
                },
                _ => bytes.extend_from_slice(token.text.replace(SPACE, " ").as_bytes()),
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        // The space that encoding put before the text.
        match text.strip_prefix(' ') {
            Some(rest) if self.space_prefix => rest.to_owned(),
            _ => text.into_owned(),
        }
    }
}

impl Token {
    fn is_special(&self) -> bool {
        matches!(self.kind, UNKNOWN | CONTROL | USER_DEFINED)
    }
}

enum Part {
    Special(u32, Range<usize>),
    Text(Range<usize>),
}

/// Two neighbours that would make a token.
struct Candidate {
    score: f32,
    left: usize,
    right: usize,
    bytes: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}
