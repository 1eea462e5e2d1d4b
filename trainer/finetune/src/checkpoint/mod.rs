//! Checkpoints: what a rank needs to go on as if it had never stopped.
//!
//! ```text
//! checkpoints/attempt-0/step-00000200/weights.safetensors     the trained values, fp32
//!                                     optimizer.safetensors   both moments, fp32
//!                                     state.json              step, counters, evaluation
//!                                     manifest.json           every file's SHA-256; written last
//! ```
//!
//! An attempt writes only in its own folder, under a temporary name that readers ignore. The folder is renamed when its files are durable
//! and exists for readers once its manifest does. Readers take the newest step of the highest attempt that is whole: what a process of an
//! older attempt still writes, late, is never preferred. A damaged checkpoint is refused with a warning, and the one before it is taken.

mod digest;
mod manifest;
mod mirror;
mod retention;
mod state;
mod store;
mod tensor_file;

pub(crate) use mirror::{Copier, restore};
pub(crate) use state::{Evaluation, Identity, TrainingState};
pub(crate) use store::{CheckpointStore, Found, Tensors};
