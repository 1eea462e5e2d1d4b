//! Decoder-only transformers with LoRA: forward, hand-written backward, generation, weights in and out.
//!
//! A micro-batch is one flat row of tokens without padding ([`Batch`]): positions restart with each sequence and no token attends to
//! another sequence's. [`Model::forward_backward`] runs the layers forward and then back by hand, adding to one flat fp32 gradient
//! ([`FlatParameters`]) whose buckets become final one after another, so that their all-reduce can start while backward goes on.
//! Only tokens that the loss counts go through the output projection.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let source = temper_artifact::ModelSource::open(std::path::Path::new("model"))?;
//! # let method = temper_contract::config::Method::Full;
//! use temper_contract::config::Precision;
//! let mut model = temper_model::Model::load(&source, &method, Precision::Fp32, tch::Device::Cpu, 42)?;
//! let batch = temper_model::Batch { token_ids: vec![5, 6, 7], sequence_lengths: vec![3], target_rows: vec![0, 1], target_ids: vec![6, 7] };
//! let loss_sum = model.forward_backward(&batch, 1.0 / 2.0, None, &mut |_bucket| ())?;
//! // ... an optimizer changes model.trainable().master ...
//! model.sync_compute_weights();
//! # Ok(()) }
//! ```

#![allow(non_snake_case)] // tensors carry their shapes as suffixes: x_TH is [T, H]

mod adapter;
mod arithmetic;
mod attention;
mod batch;
mod block;
mod cross_entropy;
mod embedding;
mod error;
mod head;
mod kernels;
mod key_value_cache;
mod layout;
mod load;
mod lora;
mod model;
mod parameters;
mod projection;
mod random;
#[cfg(test)]
mod reference;
mod rms_norm;
mod rope;
mod shards;
mod swiglu;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod workspace;

pub mod generate;
pub mod save;

pub use arithmetic::widens_bf16;
pub use batch::{Batch, DropoutKey};
pub use error::Error;
pub use model::Model;
pub use parameters::{FlatParameters, Parameter};
