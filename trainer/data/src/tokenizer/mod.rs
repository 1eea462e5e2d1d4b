//! Text to token ids and back, from tokenizer.json or from a GGUF file's metadata.

mod byte_level_bpe;
mod detokenizer;
mod export;
mod pre_tokenizer;
mod sentencepiece;
mod special_tokens;

pub use detokenizer::Detokenizer;
pub use export::write_tokenizer_files;

use crate::Error;
use sentencepiece::SentencePiece;
use std::collections::BTreeMap;
use std::ops::Range;
use temper_artifact::{GgufTokenizer, HuggingFaceTokenizer, TokenizerSource};

/// A tokenizer, ready for use from several threads.
#[derive(Debug)]
pub struct Tokenizer {
    model: Model,
    special: SpecialTokens,
    eos_ids: Vec<u32>,
    bos_id: Option<u32>,
    digest: String,
}

#[derive(Debug)]
enum Model {
    HuggingFace(Box<tokenizers::Tokenizer>),
    SentencePiece(Box<SentencePiece>),
}

/// Texts of the special tokens, by the names that chat templates know them under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens(pub BTreeMap<String, String>);

/// Tokens with the place of each in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The bytes of the text that each token stands for; `None` for tokens that the tokenizer added around the text. Pieces of one
    /// character share that character's bytes.
    pub spans: Vec<Option<Range<usize>>>,
}

impl Tokenizer {
    /// Builds the tokenizer.
    pub fn open(source: &TokenizerSource) -> Result<Self, Error> {
        match source {
            TokenizerSource::HuggingFace(files) => Self::from_hugging_face(files, source),
            TokenizerSource::Gguf(metadata) => Self::from_gguf(metadata, source),
        }
    }

    fn from_hugging_face(files: &HuggingFaceTokenizer, source: &TokenizerSource) -> Result<Self, Error> {
        let path = &files.tokenizer_json;
        let text = std::fs::read(path).map_err(Error::io("read", path))?;
        let mut json: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| Error::tokenizer(format!("{} is not JSON: {error}", path.display())))?;
        let fields = json.as_object_mut().ok_or_else(|| {
            Error::tokenizer(format!("the top level of {} is no object; get the model's tokenizer.json again", path.display()))
        })?;
        // Leave white space inside the tokens' spans: it changes no id, and spans then cover the text without gaps.
        if let Some(post_processor) = fields.get_mut("post_processor") {
            keep_white_space(post_processor);
        }
        // Truncation and padding are for the data path to decide, not for the file.
        for decided in ["truncation", "padding"] {
            fields.insert(decided.to_owned(), serde_json::Value::Null);
        }
        let tokenizer: tokenizers::Tokenizer = serde_json::from_value(json)
            .map_err(|error| Error::tokenizer(format!("{} is not a tokenizer that can be used: {error}", path.display())))?;
        let special = SpecialTokens(files.special_tokens.clone());
        let eos_ids: Vec<u32> = id_of(source, "eos_token").into_iter().collect();
        // The end token is put after texts and the others are written by templates, and they come from other files.
        let digest = format!("{} {special:?} {eos_ids:?}", temper_artifact::digest::bytes(&text));
        Ok(Self {
            model: Model::HuggingFace(Box::new(tokenizer)),
            special,
            eos_ids,
            bos_id: id_of(source, "bos_token"),
            digest: temper_artifact::digest::bytes(digest.as_bytes()),
        })
    }

    fn from_gguf(metadata: &GgufTokenizer, source: &TokenizerSource) -> Result<Self, Error> {
        let model = match metadata.model.as_str() {
            "gpt2" => Model::HuggingFace(Box::new(byte_level_bpe::build(metadata)?)),
            "llama" => Model::SentencePiece(Box::new(SentencePiece::new(metadata)?)),
            other => {
                return Err(Error::tokenizer(format!("tokenizer.ggml.model is {other:?}; supported are \"gpt2\" and \"llama\"")));
            }
        };
        let mut special = BTreeMap::new();
        for name in ["bos_token", "eos_token", "unk_token", "pad_token"] {
            if let Some((text, _)) = source.special_token(name) {
                special.insert(name.to_owned(), text.to_owned());
            }
        }
        let mut eos_ids: Vec<u32> = metadata.eos.into_iter().chain(metadata.eot).collect();
        eos_ids.dedup();
        // Debug output lists every field, so equal digests mean equal tokenizers.
        let digest = temper_artifact::digest::bytes(format!("{metadata:?}").as_bytes());
        Ok(Self { model, special: SpecialTokens(special), eos_ids, bos_id: metadata.bos, digest })
    }

    /// Token ids of the text. Special tokens written in the text are recognised. With `add_special` the tokenizer puts its own around it
    /// (often a beginning-of-text token); a text from a chat template has them already.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, Error> {
        match &self.model {
            Model::HuggingFace(tokenizer) => {
                let encoding = tokenizer.encode_fast(text, add_special).map_err(|error| encode_error(text, &*error))?;
                Ok(encoding.get_ids().to_vec())
            }
            Model::SentencePiece(model) => Ok(model.encode(text, add_special).ids),
        }
    }

    /// The same ids, with the place of each token in the text.
    pub fn encode_with_spans(&self, text: &str, add_special: bool) -> Result<Encoding, Error> {
        match &self.model {
            Model::HuggingFace(tokenizer) => {
                let encoding = tokenizer.encode(text, add_special).map_err(|error| encode_error(text, &*error))?;
                let added = encoding.get_sequence_ids();
                let spans =
                    encoding.get_offsets().iter().zip(added).map(|(&(start, end), sequence)| sequence.map(|_| start..end)).collect();
                Ok(Encoding { ids: encoding.get_ids().to_vec(), spans })
            }
            Model::SentencePiece(model) => Ok(model.encode(text, add_special)),
        }
    }

    /// The text of the ids, invalid UTF-8 replaced; special tokens are left out with `skip_special`, ids that do not exist always.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        match &self.model {
            Model::HuggingFace(tokenizer) => tokenizer.decode(ids, skip_special).unwrap_or_default(),
            Model::SentencePiece(model) => model.decode(ids, skip_special),
        }
    }

    /// Turns ids into text one at a time, as they are generated.
    pub fn detokenizer(&self, skip_special: bool) -> Detokenizer<'_> {
        Detokenizer::new(self, skip_special)
    }

    /// Tokens that end an answer; the first is the tokenizer's `eos_token`.
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }

    /// The token that begins a text.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// Whether the id is a token that stands for no text: a control token or another that was added to the vocabulary as special.
    pub fn is_special(&self, id: u32) -> bool {
        match &self.model {
            Model::HuggingFace(tokenizer) => {
                tokenizer.get_added_vocabulary().get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
            }
            Model::SentencePiece(model) => model.is_control(id),
        }
    }

    /// The id of a token, given its exact text.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        match &self.model {
            Model::HuggingFace(tokenizer) => tokenizer.token_to_id(text),
            Model::SentencePiece(model) => model.token_id(text),
        }
    }

    /// Texts of the special tokens, for chat templates.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special
    }

    /// Digest of everything that the ids depend on.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn id_of(source: &TokenizerSource, name: &str) -> Option<u32> {
    source.special_token(name).map(|(_, id)| id)
}

fn encode_error(text: &str, error: &(dyn std::error::Error + Send + Sync)) -> Error {
    Error::Encode { bytes: text.len(), reason: error.to_string() }
}

fn keep_white_space(post_processor: &mut serde_json::Value) {
    match post_processor {
        serde_json::Value::Object(fields) => {
            if let Some(trim) = fields.get_mut("trim_offsets") {
                *trim = serde_json::Value::Bool(false);
            }
            fields.values_mut().for_each(keep_white_space);
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(keep_white_space),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
