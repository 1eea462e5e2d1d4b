//! A random two-layer Llama with a word-level tokenizer, and rows for it.

use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use temper_artifact::{Dtype, TensorInfo, write};

const VOCABULARY: usize = 64;
const HIDDEN: usize = 32;
const INTERMEDIATE: usize = 48;
const KEY_VALUE: usize = 16;

/// The word whose embedding is not a number, in a poisoned model.
pub(crate) const POISON: &str = "w63";

/// Numbers that are the same on every machine (a 64-bit linear congruential generator, Knuth's constants).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }

    fn near_zero(&mut self) -> f32 {
        (self.below(20_001) as f32 / 10_000.0 - 1.0) * 0.2
    }
}

/// Writes the model's folder. In a poisoned one, whatever reads the word [`POISON`] becomes NaN.
pub(crate) fn write_model(folder: &Path, poisoned: bool) {
    fs::create_dir_all(folder).expect("a temporary folder");
    let write_json = |name: &str, value: Value| fs::write(folder.join(name), value.to_string()).expect("writable");
    write_json(
        "config.json",
        json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "max_position_embeddings": 256, "tie_word_embeddings": false, "hidden_act": "silu",
            "bos_token_id": null, "eos_token_id": 1, "torch_dtype": "float32",
        }),
    );
    let mut vocabulary = Map::from_iter([("<unk>".to_owned(), json!(0)), ("<eos>".to_owned(), json!(1))]);
    vocabulary.extend((2..VOCABULARY).map(|id| (format!("w{id}"), json!(id))));
    let special = |id: usize, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    write_json(
        "tokenizer.json",
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [special(0, "<unk>"), special(1, "<eos>")],
            "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
        }),
    );
    write_json("tokenizer_config.json", json!({"eos_token": "<eos>", "unk_token": "<unk>"}));
    write_weights(&folder.join("model.safetensors"), poisoned);
}

fn write_weights(path: &Path, poisoned: bool) {
    let mut numbers = Numbers(7);
    let mut tensors: Vec<(TensorInfo, Vec<u8>)> = Vec::new();
    let mut add = |name: String, shape: &[usize]| {
        let is_norm = shape.len() == 1;
        let mut values: Vec<f32> = (0..shape.iter().product()).map(|_| if is_norm { 1.0 } else { numbers.near_zero() }).collect();
        if poisoned && name == "model.embed_tokens.weight" {
            values[(VOCABULARY - 1) * HIDDEN..].fill(f32::NAN);
        }
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((TensorInfo { name, shape: shape.to_vec(), dtype: Dtype::F32 }, bytes));
    };
    add("model.embed_tokens.weight".to_owned(), &[VOCABULARY, HIDDEN]);
    for layer in 0..2 {
        let modules = [
            ("self_attn.q_proj", vec![HIDDEN, HIDDEN]),
            ("self_attn.k_proj", vec![KEY_VALUE, HIDDEN]),
            ("self_attn.v_proj", vec![KEY_VALUE, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, HIDDEN]),
            ("mlp.gate_proj", vec![INTERMEDIATE, HIDDEN]),
            ("mlp.up_proj", vec![INTERMEDIATE, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INTERMEDIATE]),
            ("input_layernorm", vec![HIDDEN]),
            ("post_attention_layernorm", vec![HIDDEN]),
        ];
        for (module, shape) in modules {
            add(format!("model.layers.{layer}.{module}.weight"), &shape);
        }
    }
    add("model.norm.weight".to_owned(), &[HIDDEN]);
    add("lm_head.weight".to_owned(), &[VOCABULARY, HIDDEN]);
    let views: Vec<(TensorInfo, &[u8])> = tensors.iter().map(|(info, bytes)| (info.clone(), &bytes[..])).collect();
    write::safetensors(path, &views, &[("format", "pt")]).expect("writable");
}

/// Writes prompt-completion rows of uneven length; row `poisoned_row` has the word [`POISON`].
pub(crate) fn write_rows(path: &Path, rows: usize, poisoned_row: Option<usize>) {
    let mut numbers = Numbers(11);
    let mut text = String::new();
    for row in 0..rows {
        let mut words = |count: u64| -> Vec<String> { (0..count).map(|_| format!("w{}", 2 + numbers.below(60))).collect() };
        let (mut prompt, completion) = (words(2 + row as u64 % 7), words(1 + row as u64 % 5));
        if poisoned_row == Some(row) {
            prompt[0] = POISON.to_owned();
        }
        text += &json!({"prompt": prompt.join(" "), "completion": format!(" {}", completion.join(" "))}).to_string();
        text.push('\n');
    }
    fs::write(path, text).expect("writable");
}

/// Writes the header of a one-layer Llama with these factors of its rotary frequencies, and zeros for weights: enough to be opened.
pub(crate) fn write_gguf(path: &Path, rope_factors: &[f32; 2]) {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let number = |key: &str, value: u32| [text(&format!("llama.{key}")), [4u32, value].map(u32::to_le_bytes).concat()].concat();
    let pairs = [
        [text("general.architecture"), 8u32.to_le_bytes().to_vec(), text("llama")].concat(),
        number("block_count", 1),
        number("context_length", 64),
        number("embedding_length", 8),
        number("feed_forward_length", 12),
        number("attention.head_count", 2),
        number("attention.head_count_kv", 1),
        [text("llama.attention.layer_norm_rms_epsilon"), 6u32.to_le_bytes().to_vec(), 1e-5f32.to_le_bytes().to_vec()].concat(),
    ];
    // As in the file, the fastest dimension first. The factors come first among the data.
    let tensors: [(&str, &[u64]); 12] = [
        ("rope_freqs", &[2]),
        ("token_embd", &[8, 6]),
        ("blk.0.attn_q", &[8, 8]),
        ("blk.0.attn_k", &[8, 4]),
        ("blk.0.attn_v", &[8, 4]),
        ("blk.0.attn_output", &[8, 8]),
        ("blk.0.ffn_gate", &[8, 12]),
        ("blk.0.ffn_up", &[8, 12]),
        ("blk.0.ffn_down", &[12, 8]),
        ("blk.0.attn_norm", &[8]),
        ("blk.0.ffn_norm", &[8]),
        ("output_norm", &[8]),
    ];
    let mut bytes = [b"GGUF".to_vec(), 3u32.to_le_bytes().to_vec()].concat();
    bytes.extend([tensors.len() as u64, pairs.len() as u64].map(u64::to_le_bytes).concat());
    bytes.extend(pairs.concat());
    let mut data: Vec<u8> = rope_factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
    for (name, shape) in tensors {
        let offset = if name == "rope_freqs" { 0 } else { data.len().next_multiple_of(32) };
        bytes.extend(text(&format!("{name}.weight")));
        bytes.extend((shape.len() as u32).to_le_bytes());
        bytes.extend(shape.iter().flat_map(|extent| extent.to_le_bytes()));
        bytes.extend(0u32.to_le_bytes());
        bytes.extend((offset as u64).to_le_bytes());
        data.resize(offset + 4 * shape.iter().product::<u64>() as usize, 0);
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend(data);
    fs::write(path, bytes).expect("writable");
}
