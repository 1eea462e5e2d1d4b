//! A model with its weights.

use crate::generate::{Answer, Sampling};
use crate::{Batch, DropoutKey, Error, FlatParameters};
use std::path::Path;
use tch::{Device, Tensor};
use temper_artifact::{ModelConfig, ModelSource};
use temper_contract::config::{Method, Precision};

/// A decoder-only transformer.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    trainable: FlatParameters,
}

impl Model {
    /// Loads a base model to train: adapters at PEFT's initial values (from `seed`), or every parameter.
    pub fn load(source: &ModelSource, method: &Method, precision: Precision, device: Device, seed: u64) -> Result<Self, Error> {
        todo!()
    }

    /// Loads a model to compute with, with or without a PEFT adapter's folder. Nothing is trainable.
    pub fn load_frozen(source: &ModelSource, adapter: Option<&Path>, precision: Precision, device: Device) -> Result<Self, Error> {
        todo!()
    }

    /// Replaces the adapters' values by those of a PEFT folder, ours or PEFT's own, whose settings must be this model's.
    pub fn load_adapter(&mut self, folder: &Path) -> Result<(), Error> {
        todo!()
    }

    /// The base model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What is trained, and its gradient.
    pub fn trainable(&self) -> &FlatParameters {
        &self.trainable
    }

    /// As [`trainable`](Self::trainable), to update in place.
    pub fn trainable_mut(&mut self) -> &mut FlatParameters {
        &mut self.trainable
    }

    /// Brings the copies that matrices are multiplied from up to date with `trainable().master`.
    pub fn sync_compute_weights(&mut self) {
        todo!()
    }

    /// Runs a micro-batch forward and back. Adds `scale` times the gradient of the summed loss to `trainable().gradient` (the caller zeroes
    /// it once a step) and returns the sum of the targets' losses in nats, unscaled. `on_bucket(i)` is called, for i ascending, as soon as nothing
    /// more will be added to `trainable().buckets()[i]` by this micro-batch.
    pub fn forward_backward(
        &mut self,
        batch: &Batch,
        scale: f64,
        dropout: Option<DropoutKey<'_>>,
        on_bucket: &mut dyn FnMut(usize),
    ) -> Result<f64, Error> {
        todo!()
    }

    /// Sum of the targets' losses in nats and their number, without dropout and without keeping activations.
    pub fn loss_sum(&mut self, batch: &Batch) -> Result<(f64, u64), Error> {
        todo!()
    }

    /// `[T, V]` fp32 logits of one sequence.
    pub fn logits(&mut self, token_ids: &[i64]) -> Result<Tensor, Error> {
        todo!()
    }

    /// Continues one prompt, up to and with a token of `stop_ids`. `on_token` sees each new token.
    pub fn generate(
        &mut self,
        prompt_ids: &[u32],
        sampling: &Sampling,
        max_new_tokens: usize,
        stop_ids: &[u32],
        on_token: &mut dyn FnMut(u32),
    ) -> Result<Answer, Error> {
        todo!()
    }
}
