//! A one-layer Llama of numbered words, and rows for it: a job with it is all of a job but the work.

use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};

const VOCABULARY: usize = 32;
const HIDDEN: usize = 16;
const INTERMEDIATE: usize = 24;
const KEY_VALUE: usize = 8;

/// The model's files, by name; always the same.
pub(crate) fn files() -> Vec<(&'static str, Vec<u8>)> {
    let text = |value: Value| value.to_string().into_bytes();
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": VOCABULARY, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "max_position_embeddings": 128, "tie_word_embeddings": true, "hidden_act": "silu",
        "bos_token_id": null, "eos_token_id": 1, "torch_dtype": "float32",
    });
    vec![
        ("config.json", text(config)),
        ("tokenizer.json", text(tokenizer())),
        ("tokenizer_config.json", text(json!({ "eos_token": "<eos>", "unk_token": "<unk>" }))),
        ("model.safetensors", weights()),
    ]
}

fn tokenizer() -> Value {
    let special = |id: usize, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true,
        })
    };
    let mut vocabulary = Map::from_iter([("<unk>".to_owned(), json!(0)), ("<eos>".to_owned(), json!(1))]);
    vocabulary.extend((2..VOCABULARY).map(|id| (format!("w{id}"), json!(id))));
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [special(0, "<unk>"), special(1, "<eos>")],
        "normalizer": null, "pre_tokenizer": { "type": "WhitespaceSplit" }, "post_processor": null, "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>" },
    })
}

fn weights() -> Vec<u8> {
    let shapes = [
        ("embed_tokens", vec![VOCABULARY, HIDDEN]),
        ("layers.0.input_layernorm", vec![HIDDEN]),
        ("layers.0.self_attn.q_proj", vec![HIDDEN, HIDDEN]),
        ("layers.0.self_attn.k_proj", vec![KEY_VALUE, HIDDEN]),
        ("layers.0.self_attn.v_proj", vec![KEY_VALUE, HIDDEN]),
        ("layers.0.self_attn.o_proj", vec![HIDDEN, HIDDEN]),
        ("layers.0.post_attention_layernorm", vec![HIDDEN]),
        ("layers.0.mlp.gate_proj", vec![INTERMEDIATE, HIDDEN]),
        ("layers.0.mlp.up_proj", vec![INTERMEDIATE, HIDDEN]),
        ("layers.0.mlp.down_proj", vec![HIDDEN, INTERMEDIATE]),
        ("norm", vec![HIDDEN]),
    ];
    let tensors = shapes.map(|(name, shape)| {
        let is_norm = shape.len() == 1;
        let length: usize = shape.iter().product();
        let value = |index: usize| if is_norm { 1.0_f32 } else { (index as f32).sin() * 0.1 };
        let bytes: Vec<u8> = (0..length).flat_map(|index| value(index).to_le_bytes()).collect();
        (format!("model.{name}.weight"), shape, bytes)
    });
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).expect("the bytes are as many as the shape says");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("a small header")
}

/// Prompt-completion rows; always the same. A hundred words each, so that a training is long enough to be looked at.
pub(crate) fn rows() -> Vec<u8> {
    let row = |row: usize| {
        let words: Vec<_> = (1..=100).map(|place| format!("w{}", 2 + row * place % (VOCABULARY - 2))).collect();
        json!({ "prompt": "w2", "completion": format!(" {}", words.join(" ")) }).to_string()
    };
    (0..64).map(row).collect::<Vec<_>>().join("\n").into_bytes()
}
