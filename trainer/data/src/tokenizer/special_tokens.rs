//! A GGUF file's special tokens, in the form that the `tokenizers` library takes them in.

use serde_json::{Value, json};
use temper_artifact::GgufTokenizer;

/// Token types of the GGUF format.
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
pub(super) const BYTE: i32 = 6;

/// Tokens that are found in a text before it is split.
pub(super) fn added_tokens(metadata: &GgufTokenizer) -> Vec<Value> {
    metadata
        .token_types
        .iter()
        .zip(&metadata.tokens)
        .enumerate()
        .filter(|&(_, (&kind, text))| matches!(kind, UNKNOWN | CONTROL | USER_DEFINED) && !text.is_empty())
        .map(|(id, (&kind, text))| {
            json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": kind != USER_DEFINED})
        })
        .collect()
}

/// Puts the beginning-of-text and end-of-text tokens around a text, where the file or the rules say so.
pub(super) fn post_processor(metadata: &GgufTokenizer, rules_add_bos: bool) -> Value {
    let token = |id: Option<u32>| id.and_then(|id| Some((id, metadata.tokens.get(id as usize)?)));
    let bos = token(metadata.bos).filter(|_| metadata.add_bos.unwrap_or(rules_add_bos));
    let eos = token(metadata.eos).filter(|_| metadata.add_eos.unwrap_or(false));
    if bos.is_none() && eos.is_none() {
        return Value::Null;
    }
    let piece = |(_, text): (u32, &String)| json!({"SpecialToken": {"id": text, "type_id": 0}});
    let mut single: Vec<Value> = bos.map(piece).into_iter().collect();
    single.push(json!({"Sequence": {"id": "A", "type_id": 0}}));
    single.extend(eos.map(piece));
    let special: serde_json::Map<String, Value> =
        bos.into_iter().chain(eos).map(|(id, text)| (text.clone(), json!({"id": text, "ids": [id], "tokens": [text]}))).collect();
    let pair = [single.clone(), vec![json!({"Sequence": {"id": "B", "type_id": 1}})]].concat();
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special})
}
