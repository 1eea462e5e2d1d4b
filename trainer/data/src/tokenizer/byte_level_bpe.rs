//! Byte-level BPE (Radford et al. 2019) from a GGUF file's metadata, as a tokenizer of the `tokenizers` library.

use super::pre_tokenizer::{self, SUPPORTED};
use crate::Error;
use serde_json::{Value, json};
use temper_artifact::GgufTokenizer;

/// Token types of the GGUF format.
pub(super) const UNKNOWN: i32 = 2;
pub(super) const CONTROL: i32 = 3;
pub(super) const USER_DEFINED: i32 = 4;
pub(super) const BYTE: i32 = 6;

pub(super) fn build(metadata: &GgufTokenizer) -> Result<tokenizers::Tokenizer, Error> {
    let pre = metadata.pre.as_deref().unwrap_or("default");
    let rules = pre_tokenizer::rules(pre)
        .ok_or_else(|| Error::tokenizer(format!("tokenizer.ggml.pre is {pre:?}, which is not supported; supported are {SUPPORTED}")))?;
    // Of tokens with equal texts the last one is found, as in llama.cpp's table.
    let vocab: serde_json::Map<String, Value> = metadata.tokens.iter().enumerate().map(|(id, text)| (text.clone(), json!(id))).collect();
    // A merge whose parts or result are no tokens can never apply; the library would refuse the whole table for it.
    let merges: Vec<Value> = metadata
        .merges
        .iter()
        .filter_map(|merge| split_merge(merge))
        .filter(|(left, right)| vocab.contains_key(*left) && vocab.contains_key(*right) && vocab.contains_key(&format!("{left}{right}")))
        .map(|(left, right)| json!([left, right]))
        .collect();
    let added_tokens: Vec<Value> = metadata
        .token_types
        .iter()
        .zip(&metadata.tokens)
        .enumerate()
        .filter(|&(_, (&kind, text))| matches!(kind, UNKNOWN | CONTROL | USER_DEFINED) && !text.is_empty())
        .map(|(id, (&kind, text))| {
            json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": kind != USER_DEFINED})
        })
        .collect();
    let mut pre_tokenizers: Vec<Value> = rules
        .patterns
        .iter()
        .map(|pattern| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false}))
        .collect();
    pre_tokenizers.push(json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}));
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens,
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": pre_tokenizers},
        "post_processor": post_processor(metadata, rules.add_bos),
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": false, "ignore_merges": rules.ignore_merges, "vocab": vocab, "merges": merges,
        },
    });
    serde_json::from_value(tokenizer).map_err(|error| Error::tokenizer(format!("the GGUF file's vocabulary cannot be used: {error}")))
}

/// A merge is two tokens with a space between; a token itself never starts with a plain space (bytes are written as printable letters).
fn split_merge(merge: &str) -> Option<(&str, &str)> {
    let first = merge.chars().next()?.len_utf8();
    let space = merge.get(first..)?.find(' ')? + first;
    Some((&merge[..space], &merge[space + 1..]))
}

/// Puts the beginning-of-text and end-of-text tokens around a text, where the file or the rules say so.
fn post_processor(metadata: &GgufTokenizer, rules_add_bos: bool) -> Value {
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
