//! The supported architectures.

/// A decoder-only architecture, named as transformers names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Llama 2 and 3, SmolLM2 and others of the same shape.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Qwen2 and 2.5: biases on query, key and value.
    Qwen2,
    /// Qwen3: norms on query and key heads.
    Qwen3,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 4] = [Family::Llama, Family::Mistral, Family::Qwen2, Family::Qwen3];

    /// The class name in `architectures` of config.json.
    pub fn architecture(self) -> &'static str {
        match self {
            Family::Llama => "LlamaForCausalLM",
            Family::Mistral => "MistralForCausalLM",
            Family::Qwen2 => "Qwen2ForCausalLM",
            Family::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    /// The `model_type` of config.json.
    pub fn model_type(self) -> &'static str {
        match self {
            Family::Llama => "llama",
            Family::Mistral => "mistral",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
        }
    }
}
