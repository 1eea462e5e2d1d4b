//! The tokenizer inside a GGUF file.

use super::{GgufFile, GgufValue};
use crate::Error;

/// The `tokenizer.*` metadata. What an id means, and by which rules text is split, is for the tokenizer that is built from it.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufTokenizer {
    /// `gpt2` (byte-level BPE) or `llama` (SentencePiece).
    pub model: String,
    /// The name of the pre-tokenisation rules, for `gpt2`: `smollm`, `llama-bpe`, `qwen2`, ...
    pub pre: Option<String>,
    /// Token texts, by id.
    pub tokens: Vec<String>,
    /// One a token; empty where the file has none.
    pub scores: Vec<f32>,
    /// One a token (1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte); empty where the file has none.
    pub token_types: Vec<i32>,
    /// `left right` pairs, by rank.
    pub merges: Vec<String>,
    /// Starts a text.
    pub bos: Option<u32>,
    /// Ends a text.
    pub eos: Option<u32>,
    /// Ends a turn, where it is another token than `eos`.
    pub eot: Option<u32>,
    /// Stands for what the vocabulary lacks.
    pub unk: Option<u32>,
    /// Fills up batches.
    pub pad: Option<u32>,
    /// Whether encoding prepends `bos`, where the file says.
    pub add_bos: Option<bool>,
    /// Whether encoding appends `eos`, where the file says.
    pub add_eos: Option<bool>,
    /// Whether SentencePiece puts a space before the text, where the file says.
    pub add_space_prefix: Option<bool>,
    /// The chat template.
    pub chat_template: Option<String>,
    /// Further templates, by name (`tokenizer.chat_template.NAME`).
    pub named_chat_templates: Vec<(String, String)>,
}

impl GgufTokenizer {
    /// Reads the metadata and checks it against the number of embedding rows.
    pub(crate) fn read(file: &GgufFile, vocab_size: usize) -> Result<GgufTokenizer, Error> {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let model = file.str("tokenizer.ggml.model")?;
        let model = model.ok_or_else(|| file.error("tokenizer.ggml.model", "missing", "the file has no tokenizer; use one that has"))?;
        if !matches!(model, "gpt2" | "llama") {
            return Err(file.error(
                "tokenizer.ggml.model",
                format!("{model:?}"),
                "this tokenizer is not supported; supported are gpt2 and llama",
            ));
        }
        let tokens = strings(file, &key("tokens"))?;
        if tokens.is_empty() {
            return Err(file.error("tokenizer.ggml.tokens", "empty", "a token list is expected"));
        }
        if tokens.len() > vocab_size {
            let outside = &tokens[vocab_size];
            let reason = format!(
                "the embedding has only {vocab_size} rows, so {outside:?} (id {vocab_size}) could not be looked up; the tokenizer does not belong to this model"
            );
            return Err(file.error("tokenizer.ggml.tokens", format!("{} tokens", tokens.len()), reason));
        }
        let id = |name: &str| -> Result<Option<u32>, Error> {
            match file.usize(&key(name))? {
                None => Ok(None),
                Some(id) if id == u32::MAX as usize => Ok(None),
                Some(id) if id < tokens.len() => Ok(Some(id as u32)),
                Some(id) => Err(file.error(&key(name), id, format!("there are only {} tokens", tokens.len()))),
            }
        };
        let scores: Vec<f32> = match file.value(&key("scores")) {
            None => Vec::new(),
            Some(GgufValue::Floats(list)) => list.iter().map(|&score| score as f32).collect(),
            Some(other) => return Err(file.error(&key("scores"), other, "a list of floats is expected")),
        };
        let token_types: Vec<i32> = match file.value(&key("token_type")) {
            None => Vec::new(),
            Some(GgufValue::Integers(list)) => list.iter().map(|&kind| i32::try_from(kind).unwrap_or(0)).collect(),
            Some(other) => return Err(file.error(&key("token_type"), other, "a list of integers is expected")),
        };
        for (name, length) in [("scores", scores.len()), ("token_type", token_types.len())] {
            if length != 0 && length != tokens.len() {
                return Err(file.error(&key(name), format!("a list of {length}"), format!("there are {} tokens", tokens.len())));
            }
        }
        let names = match file.value("tokenizer.chat_templates") {
            Some(GgufValue::Strings(names)) => names.as_slice(),
            _ => &[],
        };
        let mut named_chat_templates = Vec::new();
        for name in names {
            if let Some(text) = file.str(&format!("tokenizer.chat_template.{name}"))? {
                named_chat_templates.push((name.clone(), text.to_owned()));
            }
        }
        Ok(GgufTokenizer {
            model: model.to_owned(),
            pre: file.str(&key("pre"))?.map(str::to_owned),
            scores,
            token_types,
            merges: strings(file, &key("merges"))?,
            bos: id("bos_token_id")?,
            eos: id("eos_token_id")?,
            eot: id("eot_token_id")?,
            unk: id("unknown_token_id")?,
            pad: id("padding_token_id")?,
            add_bos: file.bool(&key("add_bos_token"))?,
            add_eos: file.bool(&key("add_eos_token"))?,
            add_space_prefix: file.bool(&key("add_space_prefix"))?,
            chat_template: file.str("tokenizer.chat_template")?.map(str::to_owned),
            named_chat_templates,
            tokens,
        })
    }
}

fn strings(file: &GgufFile, key: &str) -> Result<Vec<String>, Error> {
    match file.value(key) {
        None => Ok(Vec::new()),
        Some(GgufValue::Strings(list)) => Ok(list.clone()),
        // An empty list may have any element type.
        Some(GgufValue::Integers(list)) if list.is_empty() => Ok(Vec::new()),
        Some(other) => Err(file.error(key, other, "a list of strings is expected")),
    }
}
