//! Byte-level BPE (Radford et al. 2019) from a GGUF file's metadata, as a tokenizer of the `tokenizers` library.

use super::pre_tokenizer::{self, SUPPORTED};
use super::special_tokens::{added_tokens, post_processor};
use crate::Error;
use serde_json::{Value, json};
use temper_artifact::GgufTokenizer;

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
        "added_tokens": added_tokens(metadata),
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
