//! GGUF, the file format of llama.cpp: a header of typed metadata, a table of tensors, and their data, all little-endian.
//!
//! Layout as in ggml's `docs/gguf.md`: magic `GGUF`, version (2 or 3), tensor count, metadata count, the metadata pairs, the tensor
//! table, padding to `general.alignment`, tensor data.

mod cursor;
pub(crate) mod dequantize;
mod file;
mod ggml_type;
pub(crate) mod model_config;
pub(crate) mod tensor_names;
pub mod tokenizer;
mod value;

pub use file::{GgufFile, GgufTensor};
pub use ggml_type::GgmlType;
pub use value::GgufValue;

/// The first four bytes of every GGUF file.
pub const MAGIC: &[u8; 4] = b"GGUF";
