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
//!
//! An attempt that finds checkpoints of a higher one writes its own above them, as if it were the attempt after that.

mod digest;
mod found;
mod id;
mod manifest;
mod mirror;
mod restore;
mod retention;
mod state;
mod store;
mod tensor_file;
mod tensors;

pub(crate) use found::Found;
pub(crate) use mirror::Copier;
pub(crate) use restore::restore;
pub(crate) use state::{Evaluation, Identity, TrainingState, of_another};
pub(crate) use store::CheckpointStore;
pub(crate) use tensors::Tensors;
