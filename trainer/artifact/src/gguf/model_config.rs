//! GGUF metadata to a [`ModelConfig`].

use super::{GgufFile, GgufValue, dequantize};
use crate::hugging_face_config::{MAX_HEAD_DIM, MAX_HEADS, MAX_HIDDEN, MAX_INTERMEDIATE, MAX_LAYERS, MAX_POSITIONS, MAX_VOCABULARY};
use crate::model_config::{AttentionBias, ModelConfig};
use crate::{Error, Family, RopeScaling};
use serde_json::{Map, Value, json};

/// The model that the file's metadata and tensor table describe.
pub(crate) fn read(file: &GgufFile) -> Result<ModelConfig, Error> {
    let architecture = file.str("general.architecture")?.ok_or_else(|| missing(file, "general.architecture"))?;
    let family = match architecture {
        // llama.cpp keeps Mistral's models under Llama's name; only the window tells them apart, and only some files have it.
        "llama" if file.value("llama.attention.sliding_window").is_some() => Family::Mistral,
        "llama" => Family::Llama,
        "qwen2" => Family::Qwen2,
        "qwen3" => Family::Qwen3,
        other => {
            let reason = "this architecture is not supported; supported are llama (with Mistral), qwen2 and qwen3";
            return Err(file.error("general.architecture", format!("{other:?}"), reason));
        }
    };
    let key = |name: &str| format!("{architecture}.{name}");
    if let Some(experts) = file.usize(&key("expert_count"))?.filter(|&experts| experts > 0) {
        return Err(file.error(&key("expert_count"), experts, "mixtures of experts are not supported"));
    }
    let bounded = |name: &str, limit: usize| -> Result<Option<usize>, Error> {
        let key = key(name);
        match whole_or_uniform(file, &key)? {
            Some(value) if value == 0 || value > limit => Err(file.error(&key, value, format!("it must be from 1 to {limit}"))),
            other => Ok(other),
        }
    };
    let required = |name: &str, limit: usize| bounded(name, limit)?.ok_or_else(|| missing(file, &key(name)));

    let hidden_size = required("embedding_length", MAX_HIDDEN)?;
    let num_attention_heads = required("attention.head_count", MAX_HEADS)?;
    let num_key_value_heads = bounded("attention.head_count_kv", MAX_HEADS)?.unwrap_or(num_attention_heads);
    if !num_attention_heads.is_multiple_of(num_key_value_heads) {
        let reason = format!("it must divide the {num_attention_heads} attention heads");
        return Err(file.error(&key("attention.head_count_kv"), num_key_value_heads, reason));
    }
    let head_dim = match bounded("attention.key_length", MAX_HEAD_DIM)? {
        Some(head_dim) => head_dim,
        None if hidden_size.is_multiple_of(num_attention_heads) => hidden_size / num_attention_heads,
        None => {
            return Err(file.error(
                &key("embedding_length"),
                hidden_size,
                format!("{num_attention_heads} heads do not divide it, and attention.key_length is not given"),
            ));
        }
    };
    if !head_dim.is_multiple_of(2) || head_dim > MAX_HEAD_DIM {
        return Err(file.error(
            &key("attention.key_length"),
            head_dim,
            format!("rotary embeddings need an even number, at most {MAX_HEAD_DIM}"),
        ));
    }
    for (name, meaning) in
        [("attention.value_length", "values of another size than keys"), ("rope.dimension_count", "rotating a part of a head")]
    {
        if let Some(other) = bounded(name, MAX_HEAD_DIM)?.filter(|&other| other != head_dim) {
            return Err(file.error(&key(name), other, format!("the head size is {head_dim}; {meaning} is not supported")));
        }
    }
    let embedding =
        tensor_shape(file, "token_embd.weight").ok_or_else(|| Error::tensor(file.path(), "token_embd.weight", "it is missing"))?;
    let vocab_size = match embedding {
        &[rows, _] if (1..=MAX_VOCABULARY).contains(&rows) => rows,
        shape => {
            return Err(Error::tensor(file.path(), "token_embd.weight", format!("its shape {shape:?} is not [vocabulary, {hidden_size}]")));
        }
    };
    let rms_norm_eps =
        file.f64(&key("attention.layer_norm_rms_epsilon"))?.ok_or_else(|| missing(file, &key("attention.layer_norm_rms_epsilon")))?;
    if !(0.0..1.0).contains(&rms_norm_eps) {
        return Err(file.error(&key("attention.layer_norm_rms_epsilon"), rms_norm_eps, "it must be at least 0 and below 1"));
    }
    let rope_theta = file.f64(&key("rope.freq_base"))?.unwrap_or(10_000.0);
    if rope_theta <= 0.0 {
        return Err(file.error(&key("rope.freq_base"), rope_theta, "a number above 0 is expected"));
    }
    let num_hidden_layers = required("block_count", MAX_LAYERS)?;
    let window = bounded("attention.sliding_window", MAX_POSITIONS)?.filter(|_| family == Family::Mistral);
    let has = |name: &str| tensor_shape(file, name).is_some();
    let attention_bias = match family {
        Family::Qwen2 => AttentionBias { qkv: true, output: false },
        Family::Mistral => AttentionBias::default(),
        Family::Llama | Family::Qwen3 => AttentionBias { qkv: has("blk.0.attn_q.bias"), output: has("blk.0.attn_output.bias") },
    };
    if family != Family::Qwen2 && attention_bias.qkv != attention_bias.output {
        let reason =
            "biases on query, key and value without one on the output, or the other way round, are not supported in this architecture";
        return Err(Error::tensor(file.path(), "blk.0.attn_output.bias", reason));
    }
    let mut config = ModelConfig {
        family,
        hidden_size,
        intermediate_size: required("feed_forward_length", MAX_INTERMEDIATE)?,
        num_hidden_layers,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        vocab_size,
        // The file has fp32; the shortest decimal that means the same fp32 is what config.json had.
        rms_norm_eps: shortest(rms_norm_eps),
        rope_theta: shortest(rope_theta),
        rope_scaling: rope_scaling(file, architecture, rope_theta, head_dim)?,
        sliding_window: window,
        sliding_layers: vec![window.is_some(); num_hidden_layers],
        attention_bias,
        mlp_bias: family == Family::Llama && has("blk.0.ffn_gate.bias"),
        qk_norm: family == Family::Qwen3,
        tie_word_embeddings: !has("output.weight"),
        max_position_embeddings: required("context_length", MAX_POSITIONS)?,
        bos_token_id: token_id(file, "tokenizer.ggml.bos_token_id", vocab_size)?,
        eos_token_ids: Vec::new(),
        pad_token_id: token_id(file, "tokenizer.ggml.padding_token_id", vocab_size)?,
        raw: Value::Null,
    };
    // An end of turn, where it is named, ends an answer too.
    for name in ["eos_token_id", "eot_token_id"] {
        let id = token_id(file, &format!("tokenizer.ggml.{name}"), vocab_size)?;
        config.eos_token_ids.extend(id.filter(|id| !config.eos_token_ids.contains(id)));
    }
    config.raw = to_hugging_face(&config);
    Ok(config)
}

/// A number, or a list that says the same number for each layer.
fn whole_or_uniform(file: &GgufFile, key: &str) -> Result<Option<usize>, Error> {
    match file.value(key) {
        Some(value @ GgufValue::Integers(list)) => match list.split_first() {
            Some((&first, rest)) if first >= 0 && rest.iter().all(|&other| other == first) => Ok(Some(first as usize)),
            _ => Err(file.error(key, value, "values that differ from layer to layer are not supported")),
        },
        _ => file.usize(key),
    }
}

fn rope_scaling(file: &GgufFile, architecture: &str, theta: f64, head_dim: usize) -> Result<RopeScaling, Error> {
    if let Some(tensor) = file.tensors().iter().find(|tensor| tensor.name == "rope_freqs.weight") {
        if tensor.shape != [head_dim / 2] {
            let reason = format!("its shape {:?} is not [{}], half the head size", tensor.shape, head_dim / 2);
            return Err(Error::tensor(file.path(), &tensor.name, reason));
        }
        let mut factors = vec![0.0; head_dim / 2];
        dequantize::to_f32(tensor.dtype, file.bytes(tensor), &mut factors);
        if let Some(factor) = factors.iter().find(|&&factor| !(factor.is_finite() && factor > 0.0)) {
            return Err(Error::tensor(file.path(), &tensor.name, format!("it holds {factor}; positive numbers are expected")));
        }
        return Ok(RopeScaling::from_frequency_factors(factors, theta, head_dim));
    }
    let key = |name: &str| format!("{architecture}.rope.{name}");
    let factor = match file.f64(&key("scaling.factor"))? {
        Some(factor) => Some(factor),
        None => file.f64(&key("scale_linear"))?,
    };
    match file.str(&key("scaling.type"))? {
        Some("none") => Ok(RopeScaling::None),
        None | Some("linear") => match factor {
            None | Some(1.0) => Ok(RopeScaling::None),
            Some(factor) if factor > 0.0 => Ok(RopeScaling::Linear { factor: shortest(factor) }),
            Some(factor) => Err(file.error(&key("scaling.factor"), factor, "a number above 0 is expected")),
        },
        Some(other) => Err(file.error(
            &key("scaling.type"),
            format!("{other:?}"),
            "this rotary scaling is not supported; supported are none, linear and Llama 3's",
        )),
    }
}

fn token_id(file: &GgufFile, key: &str, vocab_size: usize) -> Result<Option<u32>, Error> {
    match file.usize(key)? {
        None => Ok(None),
        // Written by converters for "none".
        Some(id) if id == u32::MAX as usize => Ok(None),
        Some(id) if id < vocab_size => Ok(Some(id as u32)),
        Some(id) => Err(file.error(key, id, format!("the embedding has only {vocab_size} rows"))),
    }
}

fn tensor_shape<'a>(file: &'a GgufFile, name: &str) -> Option<&'a [usize]> {
    file.tensors().iter().find(|tensor| tensor.name == name).map(|tensor| tensor.shape.as_slice())
}

fn missing(file: &GgufFile, key: &str) -> Error {
    file.error(key, "missing", "the file must have it")
}

/// The number with the fewest digits that rounds to the same fp32.
fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

/// The config.json that says the same as the GGUF metadata, for saving a tuned model in Hugging Face's layout.
fn to_hugging_face(config: &ModelConfig) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    set("architectures", json!([config.family.architecture()]));
    if matches!(config.family, Family::Llama | Family::Qwen3) {
        set("attention_bias", json!(config.attention_bias.qkv));
    }
    set("attention_dropout", json!(0.0));
    set("bos_token_id", json!(config.bos_token_id));
    let eos = match config.eos_token_ids.as_slice() {
        [] => Value::Null,
        [one] => json!(one),
        many => json!(many),
    };
    set("eos_token_id", eos);
    set("head_dim", json!(config.head_dim));
    set("hidden_act", json!("silu"));
    set("hidden_size", json!(config.hidden_size));
    set("intermediate_size", json!(config.intermediate_size));
    set("max_position_embeddings", json!(config.max_position_embeddings));
    if config.family == Family::Llama {
        set("mlp_bias", json!(config.mlp_bias));
    }
    set("model_type", json!(config.family.model_type()));
    set("num_attention_heads", json!(config.num_attention_heads));
    set("num_hidden_layers", json!(config.num_hidden_layers));
    set("num_key_value_heads", json!(config.num_key_value_heads));
    set("pad_token_id", json!(config.pad_token_id));
    set("rms_norm_eps", json!(config.rms_norm_eps));
    // Factors that config.json has no words for stay out of it; `ModelConfig::check_saves_whole` refuses to save such a model.
    if let Some(rope) = config.rope_scaling.to_rope_parameters(config.rope_theta) {
        // Both spellings: transformers before 5 reads only the older one.
        set("rope_parameters", rope.clone());
        set("rope_theta", json!(config.rope_theta));
        let old = (config.rope_scaling != RopeScaling::None).then_some(rope);
        set("rope_scaling", old.unwrap_or(Value::Null));
    }
    if config.family == Family::Mistral {
        set("sliding_window", json!(config.sliding_window));
    }
    set("tie_word_embeddings", json!(config.tie_word_embeddings));
    set("use_cache", json!(true));
    set("vocab_size", json!(config.vocab_size));
    Value::Object(fields)
}
