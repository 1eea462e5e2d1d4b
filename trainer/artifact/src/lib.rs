//! Torch-free knowledge of model folders: what a base model is made of, read from a Hugging Face folder or a GGUF file, and what an
//! adapter needs.
//!
//! Start at [`ModelSource::open`]. It checks everything that the files' headers can tell (architecture, dimensions, every tensor's shape
//! and type) before anybody allocates memory for a weight. Nothing here trusts a file: a hostile one gets an [`Error`], never a panic
//! and never an allocation larger than the file itself suggests.

mod adapter_config;
mod adapter_source;
mod chat_templates;
pub mod digest;
mod dtype;
mod error;
mod family;
pub mod gguf;
mod hugging_face_config;
mod hugging_face_tokenizer;
mod json_file;
pub mod memory;
mod mmap;
mod model_config;
mod model_folder;
mod model_source;
pub mod parameters;
pub mod pickle;
pub mod processor;
mod raw_tensor;
mod rope;
mod safetensors_file;
mod target_modules;
mod tokenizer_source;
pub mod write;

pub use adapter_config::AdapterConfig;
pub use adapter_source::AdapterSource;
pub use chat_templates::ChatTemplates;
pub use dtype::{Dtype, TensorInfo};
pub use error::Error;
pub use family::Family;
pub use gguf::tokenizer::GgufTokenizer;
pub use gguf::{GgmlType, GgufFile};
pub use hugging_face_tokenizer::HuggingFaceTokenizer;
pub use memory::MemoryEstimate;
pub use model_config::{AttentionBias, ExpectedTensor, LinearModule, ModelConfig};
pub use model_source::ModelSource;
pub use raw_tensor::RawTensor;
pub use rope::RopeScaling;
pub use safetensors_file::SafetensorsFile;
pub use target_modules::match_target_modules;
pub use tokenizer_source::TokenizerSource;
