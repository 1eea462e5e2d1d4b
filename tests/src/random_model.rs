//! Llama models of any shape with random weights and a tokenizer of numbered words.

use serde_json::{Map, Value, json};
use std::path::Path;
use temper_artifact::{AttentionBias, Dtype, Family, ModelConfig, RopeScaling, TensorInfo, write};

/// A model's shape.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_value_heads: usize,
    /// Words of the tokenizer, and rows of the embedding.
    pub vocabulary: usize,
    /// Whether the output projection is the embedding.
    pub tied: bool,
}

/// Writes the model's folder, weights in fp32. The numbers are the same each time.
///
/// # Panics
/// When the folder cannot be written.
pub fn write_model(folder: &Path, shape: Shape) {
    std::fs::create_dir_all(folder).expect("a folder");
    let write_json = |name: &str, value: &Value| std::fs::write(folder.join(name), value.to_string()).expect("a file");
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": shape.hidden_size, "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.key_value_heads,
        "vocab_size": shape.vocabulary, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 4096,
        "tie_word_embeddings": shape.tied, "hidden_act": "silu", "bos_token_id": null, "eos_token_id": 1, "torch_dtype": "float32",
    });
    write_json("config.json", &config);
    let special = |id: usize, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let mut vocabulary = Map::from_iter([("<unk>".to_owned(), json!(0)), ("<eos>".to_owned(), json!(1))]);
    vocabulary.extend((2..shape.vocabulary).map(|id| (format!("w{id}"), json!(id))));
    write_json(
        "tokenizer.json",
        &json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [special(0, "<unk>"), special(1, "<eos>")],
            "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
        }),
    );
    write_json("tokenizer_config.json", &json!({"eos_token": "<eos>", "unk_token": "<unk>"}));
    let mut state = 7u64;
    let mut near_zero = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.04
    };
    let tensors: Vec<(TensorInfo, Vec<u8>)> = model_config(shape, config)
        .expected_tensors()
        .into_iter()
        .map(|tensor| {
            let is_norm = tensor.shape.len() == 1;
            let values = (0..tensor.shape.iter().product::<usize>()).map(|_| if is_norm { 1.0 } else { near_zero() });
            let bytes = values.flat_map(f32::to_le_bytes).collect();
            (TensorInfo { name: tensor.name, shape: tensor.shape, dtype: Dtype::F32 }, bytes)
        })
        .collect();
    let views: Vec<(TensorInfo, &[u8])> = tensors.iter().map(|(info, bytes)| (info.clone(), &bytes[..])).collect();
    write::safetensors(&folder.join("model.safetensors"), &views, &[("format", "pt")]).expect("a file");
}

fn model_config(shape: Shape, raw: Value) -> ModelConfig {
    ModelConfig {
        family: Family::Llama,
        hidden_size: shape.hidden_size,
        intermediate_size: shape.intermediate_size,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        num_key_value_heads: shape.key_value_heads,
        head_dim: shape.hidden_size / shape.heads,
        vocab_size: shape.vocabulary,
        rms_norm_eps: 1e-5,
        rope_theta: 10000.0,
        rope_scaling: RopeScaling::None,
        sliding_window: None,
        sliding_layers: Vec::new(),
        attention_bias: AttentionBias::default(),
        mlp_bias: false,
        qk_norm: false,
        tie_word_embeddings: shape.tied,
        max_position_embeddings: 4096,
        bos_token_id: None,
        eos_token_ids: vec![1],
        pad_token_id: None,
        raw,
    }
}
