//! A small tokenizer for tests: every byte is a token, and a few special tokens.

use serde_json::json;
use temper_artifact::{GgufTokenizer, TokenizerSource};

/// Ids from 256 on.
pub(crate) const SPECIAL: [&str; 5] = ["<s>", "</s>", "<|start|>", "<|end|>", "<pad>"];

/// The id of a special token.
pub(crate) fn special(text: &str) -> u32 {
    256 + SPECIAL.iter().position(|special| *special == text).expect("a special token") as u32
}

/// A tokenizer of bytes: the id of a byte is its value. Texts get `<s>` before them if `add_bos`.
pub(crate) fn byte_tokenizer(add_bos: bool, chat_template: Option<&str>) -> TokenizerSource {
    let mut tokens = byte_letters();
    let mut token_types = vec![1; tokens.len()];
    tokens.extend(SPECIAL.map(str::to_owned));
    token_types.extend([3; SPECIAL.len()]);
    TokenizerSource::Gguf(GgufTokenizer {
        model: "gpt2".to_owned(),
        pre: Some("gpt-2".to_owned()),
        scores: Vec::new(),
        token_types,
        merges: Vec::new(),
        bos: Some(special("<s>")),
        eos: Some(special("</s>")),
        eot: None,
        unk: None,
        pad: Some(special("<pad>")),
        add_bos: Some(add_bos),
        add_eos: None,
        add_space_prefix: None,
        chat_template: chat_template.map(str::to_owned),
        named_chat_templates: Vec::new(),
        tokens,
    })
}

/// The printable letters that byte-level BPE writes the bytes with.
pub(crate) fn byte_letters() -> Vec<String> {
    let mut extra = 256;
    let mut letter = |byte: u32| {
        if matches!(byte, 33..=126 | 161..=172 | 174..=255) {
            return byte;
        }
        extra += 1;
        extra - 1
    };
    (0..=255).map(|byte| char::from_u32(letter(byte)).expect("a letter").to_string()).collect()
}

/// A message.
pub(crate) fn message(role: &str, content: &str) -> serde_json::Value {
    json!({"role": role, "content": content})
}
