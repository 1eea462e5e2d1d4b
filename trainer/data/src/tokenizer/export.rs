//! A GGUF file's tokenizer as the files that transformers reads, for a whole model that is published from a GGUF base.

use super::special_tokens::{added_tokens, post_processor};
use super::{byte_level_bpe, sentencepiece::SPACE};
use crate::Error;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;
use temper_artifact::{GgufTokenizer, TokenizerSource, write};

/// Writes `tokenizer.json` and `tokenizer_config.json` (special tokens, chat template) into an existing folder. Equal metadata give equal bytes.
pub fn write_tokenizer_files(metadata: &GgufTokenizer, folder: &Path) -> Result<(), Error> {
    let tokenizer = match metadata.model.as_str() {
        "gpt2" => serde_json::to_value(byte_level_bpe::build(metadata)?).map_err(|error| Error::tokenizer(error.to_string()))?,
        _ => sentencepiece_as_bpe(metadata),
    };
    let source = TokenizerSource::Gguf(metadata.clone());
    let mut config = Map::from_iter([("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"))]);
    for name in ["bos_token", "eos_token", "unk_token", "pad_token"] {
        if let Some((text, _)) = source.special_token(name) {
            config.insert(name.to_owned(), json!(text));
        }
    }
    if let Some(template) = source.chat_template() {
        config.insert("chat_template".to_owned(), json!(template));
    }
    write::atomic_json(&folder.join("tokenizer.json"), &tokenizer)?;
    Ok(write::atomic_json(&folder.join("tokenizer_config.json"), &config)?)
}

/// SentencePiece's BPE joins the neighbours whose joined text has the best score. A table of merges says the same: every way to cut a token into
/// two tokens, in the order of the scores.
fn sentencepiece_as_bpe(metadata: &GgufTokenizer) -> Value {
    let ids: HashMap<&str, usize> = metadata.tokens.iter().enumerate().map(|(id, text)| (text.as_str(), id)).collect();
    let mut order: Vec<usize> = (0..metadata.tokens.len()).collect();
    let score = |id: usize| metadata.scores.get(id).copied().unwrap_or(0.0);
    order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
    let cuts = |id: usize| {
        let text = metadata.tokens[id].as_str();
        let places = text.char_indices().map(|(at, _)| at).skip(1).map(move |at| text.split_at(at));
        places.filter(|(left, right)| ids.contains_key(left) && ids.contains_key(right))
    };
    let merges: Vec<Value> =
        order.into_iter().flat_map(|id| cuts(id).map(|(left, right)| json!([left, right])).collect::<Vec<_>>()).collect();
    let vocab: Map<String, Value> = metadata.tokens.iter().enumerate().map(|(id, text)| (text.clone(), json!(id))).collect();
    let unknown = metadata.unk.and_then(|id| metadata.tokens.get(id as usize));
    let prefix = metadata.add_space_prefix.unwrap_or(true);
    let space = SPACE.to_string();
    let mut normalizers = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": space})];
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": space}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        normalizers.insert(0, json!({"type": "Prepend", "prepend": space}));
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(metadata),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": post_processor(metadata, true),
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab, "merges": merges,
        },
    })
}
