//! Reads config.json and generation_config.json into a [`ModelConfig`], with transformers' defaults.

use crate::json_file::JsonObject;
use crate::model_config::{AttentionBias, ModelConfig};
use crate::{Error, Family, rope};
use serde_json::Value;

/// Bounds of the dimensions: far above any real model, low enough that no product of them overflows.
pub(crate) const MAX_HIDDEN: usize = 1 << 17;
pub(crate) const MAX_INTERMEDIATE: usize = 1 << 20;
pub(crate) const MAX_LAYERS: usize = 1024;
pub(crate) const MAX_HEADS: usize = 4096;
pub(crate) const MAX_HEAD_DIM: usize = 1024;
pub(crate) const MAX_VOCABULARY: usize = 1 << 22;
pub(crate) const MAX_POSITIONS: usize = 1 << 30;

/// The model that `config` describes; `generation` is generation_config.json, if there is one.
pub(crate) fn read(config: &JsonObject, generation: Option<&JsonObject>) -> Result<ModelConfig, Error> {
    let family = family(config)?;
    refuse_what_changes_the_model(config)?;

    let bounded = |field: &str, limit: usize| -> Result<Option<usize>, Error> {
        match config.usize(field)? {
            Some(value) if value == 0 || value > limit => Err(config.error(field, value, format!("it must be from 1 to {limit}"))),
            other => Ok(other),
        }
    };
    let required = |field: &str, limit: usize| bounded(field, limit)?.ok_or_else(|| config.missing(field));
    let hidden_size = required("hidden_size", MAX_HIDDEN)?;
    let num_hidden_layers = required("num_hidden_layers", MAX_LAYERS)?;
    let num_attention_heads = required("num_attention_heads", MAX_HEADS)?;
    let default_key_value_heads = match family {
        Family::Llama => num_attention_heads,
        Family::Mistral => 8,
        Family::Qwen2 | Family::Qwen3 => 32,
    };
    let num_key_value_heads = match config.fields.get("num_key_value_heads") {
        None => default_key_value_heads,
        Some(_) => bounded("num_key_value_heads", MAX_HEADS)?.unwrap_or(num_attention_heads),
    };
    if !num_attention_heads.is_multiple_of(num_key_value_heads) {
        let reason = format!("it must divide num_attention_heads ({num_attention_heads})");
        return Err(config.error("num_key_value_heads", num_key_value_heads, reason));
    }
    let head_dim = match bounded("head_dim", MAX_HEAD_DIM)? {
        Some(head_dim) => head_dim,
        None if family == Family::Qwen3 => 128,
        None if hidden_size.is_multiple_of(num_attention_heads) => hidden_size / num_attention_heads,
        None => {
            let reason = format!("num_attention_heads ({num_attention_heads}) does not divide it, and head_dim is not given");
            return Err(config.error("hidden_size", hidden_size, reason));
        }
    };
    if !head_dim.is_multiple_of(2) || head_dim > MAX_HEAD_DIM {
        return Err(config.error("head_dim", head_dim, format!("rotary embeddings need an even number, at most {MAX_HEAD_DIM}")));
    }
    let max_position_embeddings = bounded("max_position_embeddings", MAX_POSITIONS)?.unwrap_or(match family {
        Family::Llama => 2048,
        Family::Mistral => 131_072,
        Family::Qwen2 | Family::Qwen3 => 32_768,
    });
    let rms_norm_eps = config.f64("rms_norm_eps")?.unwrap_or(1e-6);
    if !(0.0..1.0).contains(&rms_norm_eps) {
        return Err(config.error("rms_norm_eps", rms_norm_eps, "it must be at least 0 and below 1"));
    }
    let (rope_theta, rope_scaling) = rope::from_config(config, max_position_embeddings)?;
    let (sliding_window, sliding_layers) = sliding_window(config, family, num_hidden_layers)?;
    let attention_bias = match family {
        Family::Llama | Family::Qwen3 => {
            let bias = config.bool("attention_bias")?.unwrap_or(false);
            AttentionBias { qkv: bias, output: bias }
        }
        Family::Qwen2 => AttentionBias { qkv: true, output: false },
        Family::Mistral => AttentionBias::default(),
    };
    let vocab_size = required("vocab_size", MAX_VOCABULARY)?;
    let eos_token_ids = match generation.map(|generation| ids(generation, "eos_token_id", vocab_size)).transpose()? {
        Some(ids) if !ids.is_empty() => ids,
        _ => ids(config, "eos_token_id", vocab_size)?,
    };
    Ok(ModelConfig {
        family,
        hidden_size,
        intermediate_size: required("intermediate_size", MAX_INTERMEDIATE)?,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        vocab_size,
        rms_norm_eps,
        rope_theta,
        rope_scaling,
        sliding_window,
        sliding_layers,
        attention_bias,
        mlp_bias: family == Family::Llama && config.bool("mlp_bias")?.unwrap_or(false),
        qk_norm: family == Family::Qwen3,
        tie_word_embeddings: config.bool("tie_word_embeddings")?.unwrap_or(false),
        max_position_embeddings,
        bos_token_id: ids(config, "bos_token_id", vocab_size)?.first().copied(),
        eos_token_ids,
        // Batches have no padding, so an id outside the vocabulary, which published files do have, does no harm.
        pad_token_id: config.usize("pad_token_id").ok().flatten().filter(|&id| id < vocab_size).map(|id| id as u32),
        raw: Value::Object(config.fields.clone()),
    })
}

fn family(config: &JsonObject) -> Result<Family, Error> {
    let supported = || Family::ALL.map(Family::architecture).join(", ");
    let (field, value, found) = match config.get("architectures") {
        Some(value) => {
            let name = match value.as_array().map(Vec::as_slice) {
                Some([Value::String(name)]) => name.as_str(),
                _ => {
                    return Err(config.error(
                        "architectures",
                        value,
                        format!("a list of one name is expected; supported are {}", supported()),
                    ));
                }
            };
            ("architectures", name, Family::ALL.into_iter().find(|family| family.architecture() == name))
        }
        // Very old folders have only the model type.
        None => {
            let name = config.str("model_type")?.ok_or_else(|| config.missing("architectures"))?;
            ("model_type", name, Family::ALL.into_iter().find(|family| family.model_type() == name))
        }
    };
    found.ok_or_else(|| {
        config.error(field, format!("{value:?}"), format!("this architecture is not supported; supported are {}", supported()))
    })
}

/// Fields that, when set, mean another computation than the one that is implemented.
fn refuse_what_changes_the_model(config: &JsonObject) -> Result<(), Error> {
    if let Some(value) = config.get("quantization_config") {
        return Err(config.error(
            "quantization_config",
            value,
            "quantised safetensors cannot be trained; use the unquantised model or a GGUF file",
        ));
    }
    match config.str("hidden_act")? {
        None | Some("silu" | "swish") => Ok(()),
        Some(other) => Err(config.error("hidden_act", format!("{other:?}"), "this activation is not supported; supported is silu")),
    }
}

/// The window and the layers it applies to, by transformers' rules for each family.
fn sliding_window(config: &JsonObject, family: Family, layers: usize) -> Result<(Option<usize>, Vec<bool>), Error> {
    let window = match config.usize("sliding_window")? {
        Some(0) => return Err(config.error("sliding_window", 0, "it must be at least 1, or null for none")),
        Some(window) => Some(window),
        None => None,
    };
    let none = (None, vec![false; layers]);
    match family {
        Family::Llama => Ok(none),
        Family::Mistral => {
            let window = if config.fields.contains_key("sliding_window") { window } else { Some(4096) };
            Ok((window, vec![window.is_some(); layers]))
        }
        Family::Qwen2 | Family::Qwen3 => {
            if !config.bool("use_sliding_window")?.unwrap_or(false) {
                return match config.get("layer_types") {
                    // A list without the switch: transformers keeps the list but drops the window.
                    Some(types) if types.as_array().is_some_and(|types| types.iter().any(|kind| kind == "sliding_attention")) => {
                        Err(config.error("layer_types", types, "it names sliding_attention, but use_sliding_window is not true"))
                    }
                    _ => Ok(none),
                };
            }
            let window = if config.fields.contains_key("sliding_window") { window } else { Some(4096) };
            let Some(window) = window else { return Ok(none) };
            let sliding = match config.get("layer_types") {
                Some(types) => layer_types(config, types, layers)?,
                None => {
                    let first = config.usize("max_window_layers")?.unwrap_or(28);
                    (0..layers).map(|layer| layer >= first).collect()
                }
            };
            Ok((sliding.contains(&true).then_some(window), sliding))
        }
    }
}

fn layer_types(config: &JsonObject, types: &Value, layers: usize) -> Result<Vec<bool>, Error> {
    let list = types.as_array().filter(|list| list.len() == layers);
    let list = list.ok_or_else(|| config.error("layer_types", types, format!("a list of {layers} names is expected, one a layer")))?;
    list.iter()
        .map(|kind| match kind.as_str() {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            _ => Err(config.error("layer_types", kind, "supported are full_attention and sliding_attention")),
        })
        .collect()
}

/// A token id or a list of them. An id outside the vocabulary can never be produced or looked up; -1 is how old files say "none".
fn ids(config: &JsonObject, field: &str, vocab_size: usize) -> Result<Vec<u32>, Error> {
    let one = |value: &Value| -> Result<Option<u32>, Error> {
        if value.as_i64() == Some(-1) {
            return Ok(None);
        }
        let id = value.as_u64().filter(|&id| id < vocab_size as u64).and_then(|id| u32::try_from(id).ok());
        id.map(Some).ok_or_else(|| config.error(field, value, format!("a token id below vocab_size ({vocab_size}) is expected")))
    };
    match config.get(field) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().filter_map(|value| one(value).transpose()).collect(),
        Some(value) => Ok(one(value)?.into_iter().collect()),
    }
}

#[cfg(test)]
mod tests;
