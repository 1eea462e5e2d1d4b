//! The crate's public interface on small models made here.

mod adapter;
mod folder;
mod gguf;
mod hostile;
mod model_files;
mod parameters;
mod tokenizer;
mod write;
