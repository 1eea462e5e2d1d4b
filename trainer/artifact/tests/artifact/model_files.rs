//! Small models as files: a Hugging Face folder, and GGUF files byte by byte.

use serde_json::{Value, json};
use std::path::Path;
use temper_artifact::{Dtype, TensorInfo, write};

/// hidden 8, 2 query heads and 1 key head of 4, feed-forward 12, 1 layer, 6 tokens, tied.
pub(crate) fn config() -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 6, "tie_word_embeddings": true, "eos_token_id": 2,
    })
}

/// The parameters of [`config`].
pub(crate) const TENSORS: [(&str, &[usize]); 11] = [
    ("model.embed_tokens.weight", &[6, 8]),
    ("model.layers.0.self_attn.q_proj.weight", &[8, 8]),
    ("model.layers.0.self_attn.k_proj.weight", &[4, 8]),
    ("model.layers.0.self_attn.v_proj.weight", &[4, 8]),
    ("model.layers.0.self_attn.o_proj.weight", &[8, 8]),
    ("model.layers.0.mlp.gate_proj.weight", &[12, 8]),
    ("model.layers.0.mlp.up_proj.weight", &[12, 8]),
    ("model.layers.0.mlp.down_proj.weight", &[8, 12]),
    ("model.layers.0.input_layernorm.weight", &[8]),
    ("model.layers.0.post_attention_layernorm.weight", &[8]),
    ("model.norm.weight", &[8]),
];

pub(crate) fn write_json(path: &Path, value: &Value) {
    std::fs::write(path, value.to_string()).expect("written");
}

/// A safetensors file with these tensors; element i of the n-th is `n + i / 1000`.
pub(crate) fn write_safetensors(path: &Path, tensors: &[(&str, &[usize])]) {
    let data: Vec<(TensorInfo, Vec<u8>)> = tensors
        .iter()
        .enumerate()
        .map(|(number, (name, shape))| {
            let info = TensorInfo { name: (*name).to_owned(), shape: shape.to_vec(), dtype: Dtype::F32 };
            let bytes = values(number, info.elements()).iter().flat_map(|value| value.to_le_bytes()).collect();
            (info, bytes)
        })
        .collect();
    let tensors: Vec<_> = data.iter().map(|(info, bytes)| (info.clone(), bytes.as_slice())).collect();
    write::safetensors(path, &tensors, &[("format", "pt")]).expect("written");
}

pub(crate) fn values(number: usize, elements: usize) -> Vec<f32> {
    (0..elements).map(|i| number as f32 + i as f32 / 1000.0).collect()
}

/// A complete folder.
pub(crate) fn write_folder(folder: &Path) {
    write_json(&folder.join("config.json"), &config());
    write_safetensors(&folder.join("model.safetensors"), &TENSORS);
}

/// A GGUF file in the making.
#[derive(Clone)]
pub(crate) struct Gguf {
    pub(crate) version: u32,
    /// Where tensors may begin; 32 unless the metadata says otherwise.
    pub(crate) alignment: usize,
    /// Key, and type number with encoded value.
    pub(crate) metadata: Vec<(String, Vec<u8>)>,
    /// Name, shape as in transformers, type number, bytes.
    pub(crate) tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

impl Gguf {
    /// The model of [`config`] in fp32, with a tokenizer of six tokens.
    pub(crate) fn llama() -> Gguf {
        let mut gguf = Gguf { version: 3, alignment: 32, metadata: Vec::new(), tensors: Vec::new() };
        gguf.set_string("general.architecture", "llama");
        for (key, value) in [
            ("block_count", 1),
            ("context_length", 64),
            ("embedding_length", 8),
            ("feed_forward_length", 12),
            ("attention.head_count", 2),
            ("attention.head_count_kv", 1),
        ] {
            gguf.set_u32(&format!("llama.{key}"), value);
        }
        gguf.set_f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
        gguf.set_string("tokenizer.ggml.model", "gpt2");
        gguf.set_string("tokenizer.ggml.pre", "smollm");
        gguf.set_strings("tokenizer.ggml.tokens", &["a", "b", "<end>", "c", "d", "ab"]);
        gguf.set_strings("tokenizer.ggml.merges", &["a b"]);
        gguf.set_u32("tokenizer.ggml.eos_token_id", 2);
        gguf.set_string("tokenizer.chat_template", "{{ messages }}");
        let names = ["token_embd", "blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v", "blk.0.attn_output", "blk.0.ffn_gate", "blk.0.ffn_up"];
        let names = names.into_iter().chain(["blk.0.ffn_down", "blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"]);
        for (number, (name, (_, shape))) in names.zip(TENSORS).enumerate() {
            gguf.add_f32(&format!("{name}.weight"), shape, number);
        }
        gguf
    }

    pub(crate) fn add_f32(&mut self, name: &str, shape: &[usize], number: usize) {
        let bytes = values(number, shape.iter().product()).iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.push((name.to_owned(), shape.iter().map(|&dimension| dimension as u64).collect(), 0, bytes));
    }

    pub(crate) fn set(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.metadata.retain(|(existing, _)| existing != key);
        self.metadata.push((key.to_owned(), [kind.to_le_bytes().as_slice(), value].concat()));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.metadata.retain(|(existing, _)| existing != key);
    }

    pub(crate) fn set_u32(&mut self, key: &str, value: u32) {
        self.set(key, 4, &value.to_le_bytes());
    }

    pub(crate) fn set_f32(&mut self, key: &str, value: f32) {
        self.set(key, 6, &value.to_le_bytes());
    }

    pub(crate) fn set_string(&mut self, key: &str, value: &str) {
        self.set(key, 8, &string(value));
    }

    pub(crate) fn set_strings(&mut self, key: &str, values: &[&str]) {
        let mut bytes = 8u32.to_le_bytes().to_vec();
        bytes.extend((values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| bytes.extend(string(value)));
        self.set(key, 9, &bytes);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            out.extend(string(key));
            out.extend(value);
        }
        let mut data: Vec<u8> = Vec::new();
        for (name, shape, kind, bytes) in &self.tensors {
            out.extend(string(name));
            out.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|dimension| out.extend(dimension.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend((data.len() as u64).to_le_bytes());
            data.extend(bytes);
            data.resize(data.len().next_multiple_of(self.alignment), 0);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(data);
        out
    }
}

fn string(value: &str) -> Vec<u8> {
    [(value.len() as u64).to_le_bytes().as_slice(), value.as_bytes()].concat()
}
