//! Where a model's tokenizer comes from.

use crate::{ChatTemplates, GgufTokenizer, HuggingFaceTokenizer};

/// The files or metadata that a tokenizer is built from.
#[derive(Clone, Debug)]
pub enum TokenizerSource {
    /// tokenizer.json and the files beside it.
    HuggingFace(HuggingFaceTokenizer),
    /// A GGUF file's metadata.
    Gguf(GgufTokenizer),
}

impl TokenizerSource {
    /// The chat template that is used when no other is asked for.
    pub fn chat_template(&self) -> Option<&str> {
        match self {
            TokenizerSource::HuggingFace(tokenizer) => tokenizer.chat_templates.choose(false),
            TokenizerSource::Gguf(tokenizer) => tokenizer.chat_template.as_deref(),
        }
    }

    /// The chat template for a conversation with tools: the one named `tool_use` if there is one, as in transformers.
    pub fn chat_template_for_tools(&self) -> Option<&str> {
        match self {
            TokenizerSource::HuggingFace(tokenizer) => tokenizer.chat_templates.choose(true),
            TokenizerSource::Gguf(tokenizer) => {
                let named = tokenizer.named_chat_templates.iter().find(|(name, _)| name == ChatTemplates::TOOL_USE);
                named.map(|(_, text)| text.as_str()).or(tokenizer.chat_template.as_deref())
            }
        }
    }

    /// Text and id of a special token: `bos_token`, `eos_token`, `unk_token`, `pad_token`, ...
    pub fn special_token(&self, name: &str) -> Option<(&str, u32)> {
        match self {
            TokenizerSource::HuggingFace(tokenizer) => {
                let text = tokenizer.special_tokens.get(name)?;
                Some((text, tokenizer.special_token_id(name)?))
            }
            TokenizerSource::Gguf(tokenizer) => {
                let id = match name {
                    "bos_token" => tokenizer.bos,
                    "eos_token" => tokenizer.eos,
                    "unk_token" => tokenizer.unk,
                    "pad_token" => tokenizer.pad,
                    _ => None,
                }?;
                Some((tokenizer.tokens.get(id as usize)?, id))
            }
        }
    }
}
