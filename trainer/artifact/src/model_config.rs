//! The shape of a decoder-only transformer, whichever file it was read from.

use crate::{Error, Family, RopeScaling};
use serde_json::Value;
use std::path::Path;

/// Everything that decides a model's computation, apart from its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The architecture.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Size of one head; even, and not always `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Change of the rotary frequencies.
    pub rope_scaling: RopeScaling,
    /// A token in a sliding layer sees itself and the `sliding_window - 1` before it.
    pub sliding_window: Option<usize>,
    /// One flag a layer: whether `sliding_window` applies to it.
    pub sliding_layers: Vec<bool>,
    /// Which attention projections have a bias.
    pub attention_bias: AttentionBias,
    /// Whether the feed-forward projections have a bias.
    pub mlp_bias: bool,
    /// Whether query and key heads are RMS-normalised before rotation (Qwen3).
    pub qk_norm: bool,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Longest context that the model was made for.
    pub max_position_embeddings: usize,
    /// Starts a text.
    pub bos_token_id: Option<u32>,
    /// Each of them ends an answer: generation_config.json's, else config.json's.
    pub eos_token_ids: Vec<u32>,
    /// Fills up a batch; Temper's batches have no padding.
    pub pad_token_id: Option<u32>,
    /// config.json as read; for a GGUF file, the config.json that says the same.
    pub raw: Value,
}

/// Which attention projections have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttentionBias {
    /// Query, key and value.
    pub qkv: bool,
    /// The output projection.
    pub output: bool,
}

/// A parameter that the model has, by its Hugging Face name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// As in transformers' state dict.
    pub name: String,
    /// `[out, in]` for a matrix, `[n]` for a vector.
    pub shape: Vec<usize>,
}

/// A linear layer that can get an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearModule {
    /// As in transformers' `named_modules`, such as `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// Columns of the weight.
    pub in_features: usize,
    /// Rows of the weight.
    pub out_features: usize,
}

impl ModelConfig {
    /// Elements of all query heads together.
    pub fn query_size(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Elements of all key heads (or all value heads) together.
    pub fn key_value_size(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// The window of a layer, if it has one.
    pub fn layer_window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.sliding_layers.get(layer).copied().unwrap_or(false))
    }

    /// Every linear layer of the decoder, in `named_modules` order. The output projection `lm_head` is not among them: adapters on it
    /// are not supported.
    pub fn linear_modules(&self) -> Vec<LinearModule> {
        let (hidden, query, key_value, intermediate) = (self.hidden_size, self.query_size(), self.key_value_size(), self.intermediate_size);
        let in_layer = [
            ("self_attn.q_proj", hidden, query),
            ("self_attn.k_proj", hidden, key_value),
            ("self_attn.v_proj", hidden, key_value),
            ("self_attn.o_proj", query, hidden),
            ("mlp.gate_proj", hidden, intermediate),
            ("mlp.up_proj", hidden, intermediate),
            ("mlp.down_proj", intermediate, hidden),
        ];
        let module = |layer: usize, (name, in_features, out_features): (&str, usize, usize)| LinearModule {
            name: format!("model.layers.{layer}.{name}"),
            in_features,
            out_features,
        };
        (0..self.num_hidden_layers).flat_map(|layer| in_layer.map(|entry| module(layer, entry))).collect()
    }

    /// Every parameter, each once (a tied output projection is not listed), in the order of transformers' `named_parameters`.
    pub fn expected_tensors(&self) -> Vec<ExpectedTensor> {
        let mut tensors = Vec::new();
        let mut add = |name: String, shape: &[usize]| tensors.push(ExpectedTensor { name, shape: shape.to_vec() });
        add("model.embed_tokens.weight".to_owned(), &[self.vocab_size, self.hidden_size]);
        let linears = self.linear_modules();
        for (layer, modules) in linears.chunks(7).enumerate() {
            for module in modules {
                add(format!("{}.weight", module.name), &[module.out_features, module.in_features]);
                if self.has_bias(&module.name) {
                    add(format!("{}.bias", module.name), &[module.out_features]);
                }
                if self.qk_norm && module.name.ends_with("o_proj") {
                    add(format!("model.layers.{layer}.self_attn.q_norm.weight"), &[self.head_dim]);
                    add(format!("model.layers.{layer}.self_attn.k_norm.weight"), &[self.head_dim]);
                }
            }
            add(format!("model.layers.{layer}.input_layernorm.weight"), &[self.hidden_size]);
            add(format!("model.layers.{layer}.post_attention_layernorm.weight"), &[self.hidden_size]);
        }
        add("model.norm.weight".to_owned(), &[self.hidden_size]);
        if !self.tie_word_embeddings {
            add("lm_head.weight".to_owned(), &[self.vocab_size, self.hidden_size]);
        }
        tensors
    }

    /// Refuses a model that transformers trains with what is not done here. Only training is concerned. `folder` is what it was read
    /// from: a GGUF file cannot say it.
    pub fn check_trains(&self, folder: &Path) -> Result<(), Error> {
        const FIELD: &str = "attention_dropout";
        match self.raw.get(FIELD) {
            Some(value) if !value.is_null() && value.as_f64() != Some(0.0) => {
                let reason = "dropout of attention is not supported yet; set it to 0 in a copy of the model's folder";
                Err(Error::field(&folder.join("config.json"), FIELD, value, reason))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a model whose computation no config.json can describe, before it is written as a whole model in Hugging Face's layout: what
    /// is read back would compute something else. `path` is what the model was read from.
    pub fn check_saves_whole(&self, path: &Path) -> Result<(), Error> {
        match &self.rope_scaling {
            RopeScaling::FrequencyFactors(factors) => {
                let reason = "config.json has words for Llama 3.1's factors only, so a whole model would be saved without these; publish a LoRA adapter by itself (spec.output.mergeAdapter: false), or start from the model's safetensors folder";
                Err(Error::field(path, "rope_freqs.weight", format!("{factors:?}"), reason))
            }
            RopeScaling::None | RopeScaling::Linear { .. } | RopeScaling::Llama3 { .. } => Ok(()),
        }
    }

    /// Whether this linear module has a bias.
    pub fn has_bias(&self, module: &str) -> bool {
        match module.rsplit('.').next() {
            Some("q_proj" | "k_proj" | "v_proj") => self.attention_bias.qkv,
            Some("o_proj") => self.attention_bias.output,
            Some("gate_proj" | "up_proj" | "down_proj") => self.mlp_bias,
            _ => false,
        }
    }
}
