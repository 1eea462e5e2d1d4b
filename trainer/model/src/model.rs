//! A model with its weights: one micro-batch forward, and back.

use crate::arithmetic::Arithmetic;
use crate::attention::WindowMasks;
use crate::block::{Block, Pass, Residual, Targets, front};
use crate::embedding::Embedding;
use crate::head::Head;
use crate::key_value_cache::KeyValueCache;
use crate::load::{self, Parts, Values};
use crate::lora::Dropout;
use crate::rope::RotaryTable;
use crate::workspace::{Keep, Workspace};
use crate::{Batch, DropoutKey, Error, FlatParameters};
use std::ops::Range;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use temper_artifact::{ModelConfig, ModelSource};
use temper_contract::config::{Lora, Method, Precision};

/// A decoder-only transformer.
#[derive(Debug)]
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) method: Option<Method>,
    pub(crate) embedding: Embedding,
    pub(crate) blocks: Vec<Block>,
    pub(crate) head: Head,
    pub(crate) trainable: FlatParameters,
    stage_ends: Vec<usize>,
    copies: Vec<(Tensor, Tensor)>,
    pub(crate) rope: RotaryTable,
    pub(crate) workspace: Workspace,
    masks: WindowMasks,
}

impl Model {
    /// Loads a base model to train: adapters at PEFT's first values (from `seed`), or every parameter.
    pub fn load(source: &ModelSource, method: &Method, precision: Precision, device: Device, seed: u64) -> Result<Self, Error> {
        Self::assemble(source, Some(method), Arithmetic::for_training(precision, device), device, Values::First { seed })
    }

    /// Loads a base model, in fp32, to receive the values that `method` has trained: zeros until the caller writes them to
    /// `trainable().master` and calls [`sync_compute_weights`](Self::sync_compute_weights). It has no gradients, so that it cannot be
    /// trained; where every parameter is trained, it takes half of what [`load`](Self::load) takes.
    pub fn load_to_receive(source: &ModelSource, method: &Method, device: Device) -> Result<Self, Error> {
        Self::assemble(source, Some(method), Arithmetic::Fp32, device, Values::Later)
    }

    /// Loads a model to compute with, with or without a PEFT adapter's folder on it.
    pub fn load_frozen(source: &ModelSource, adapter: Option<&Path>, precision: Precision, device: Device) -> Result<Self, Error> {
        let arithmetic = Arithmetic::for_inference(precision);
        let values = Values::First { seed: 0 };
        let Some(folder) = adapter else { return Self::assemble(source, None, arithmetic, device, values) };
        let settings = temper_artifact::AdapterConfig::read(folder)?;
        let lora = Lora {
            r: settings.r,
            lora_alpha: settings.lora_alpha,
            lora_dropout: 0.0,
            target_modules: settings.target_modules,
            use_rslora: settings.use_rslora,
        };
        let mut model = Self::assemble(source, Some(&Method::Lora(lora)), arithmetic, device, values)?;
        model.load_adapter(folder)?;
        Ok(model)
    }

    pub(crate) fn assemble(
        source: &ModelSource,
        method: Option<&Method>,
        arithmetic: Arithmetic,
        device: Device,
        values: Values,
    ) -> Result<Self, Error> {
        let _guard = tch::no_grad_guard();
        let Parts { embedding, blocks, head, trainable, stage_ends, copies } = load::parts(source, method, arithmetic, device, values)?;
        let config = source.config().clone();
        let rope = RotaryTable::new(&config, device);
        let workspace = Workspace::new(arithmetic, device);
        let (method, masks) = (method.cloned(), WindowMasks::default());
        Ok(Self { config, method, embedding, blocks, head, trainable, stage_ends, copies, rope, workspace, masks })
    }

    /// The base model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What is trained, and its gradient.
    pub fn trainable(&self) -> &FlatParameters {
        &self.trainable
    }

    /// As [`trainable`](Self::trainable), to update in place. Values must be changed in place: computation reads views of them.
    pub fn trainable_mut(&mut self) -> &mut FlatParameters {
        &mut self.trainable
    }

    /// Brings the copies that matrices are multiplied from up to date with `trainable().master`.
    pub fn sync_compute_weights(&mut self) {
        let _guard = tch::no_grad_guard();
        for (from, to) in &mut self.copies {
            to.copy_(from);
        }
        for block in &self.blocks {
            for projection in [&block.qkv, &block.output, &block.gate_up, &block.down] {
                projection.sync();
            }
        }
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
        let _guard = tch::no_grad_guard();
        if !self.trainable.has_gradients() {
            let reason = "the model was loaded to receive values and has no gradients; load it with Model::load to train it".to_owned();
            return Err(Error::Setting { field: "trainable.gradient", value: "without room".to_owned(), reason });
        }
        batch.check(self.config.vocab_size)?;
        let (needed, sequences) = batch.needed();
        let masks = match dropout {
            None => None,
            Some(key) => {
                key.check(batch)?;
                let samples: Vec<u64> = sequences.iter().map(|&sequence| key.samples[sequence]).collect();
                let key = DropoutKey { samples: &samples, ..key };
                self.dropout_probability().and_then(|probability| Dropout::new(probability, &key, &needed))
            }
        };
        let batch = &needed;
        let Self { embedding, blocks, head, trainable, stage_ends, rope, workspace, masks: windows, .. } = self;
        let mut buckets = BucketProgress { ends: trainable.buckets(), next: 0, on_bucket };
        let mut stages = stage_ends.iter().copied();
        let mut stage_done = || buckets.completed_to(stages.next().unwrap_or(0));
        if batch.target_rows.is_empty() {
            stage_ends.iter().for_each(|_| stage_done());
            return Ok(0.0);
        }
        let mut pass = begin(batch, rope, workspace, windows, Keep::ForBackward, masks);
        let token_ids = Tensor::from_slice(&batch.token_ids).to_device(pass.workspace.device);
        let target_rows = Tensor::from_slice(&batch.target_rows).to_device(pass.workspace.device);
        pass.targets = Some(Targets::new(&batch.target_rows, pass.dropout.as_ref(), target_rows));
        let (h, y) = run(embedding, blocks, &token_ids, &mut pass)?;

        let hidden = self.config.hidden_size;
        let extended = blocks.iter().map(Block::extended_hidden).max().unwrap_or(hidden);
        let dh_N = pass.workspace.scratch("dh_targets", batch.target_ids.len(), extended);
        let loss = head.loss(&(h + y), &batch.target_ids, Some((scale, &front(&dh_N, hidden))), pass.workspace);
        stage_done();

        let dh = pass.workspace.scratch("dh", batch.tokens(), extended);
        let lowest = blocks.iter().position(Block::is_trained).unwrap_or(blocks.len());
        for (layer, block) in blocks.iter().enumerate().rev() {
            if layer >= lowest || embedding.gradient.is_some() {
                let input_wanted = layer > lowest || embedding.gradient.is_some();
                block.backward(layer, [&dh, &dh_N], input_wanted, &mut pass)?;
            }
            stage_done();
        }
        embedding.backward(&token_ids, &front(&dh, hidden));
        stage_done();
        Ok(loss)
    }

    fn dropout_probability(&self) -> Option<f64> {
        match &self.method {
            Some(Method::Lora(lora)) => Some(lora.lora_dropout),
            _ => None,
        }
    }

    /// Sum of the targets' losses in nats and their number, without dropout and without keeping activations.
    pub fn loss_sum(&mut self, batch: &Batch) -> Result<(f64, u64), Error> {
        let _guard = tch::no_grad_guard();
        batch.check(self.config.vocab_size)?;
        if batch.target_rows.is_empty() {
            return Ok((0.0, 0));
        }
        let batch = &batch.needed().0;
        let mut pass = begin(batch, &mut self.rope, &mut self.workspace, &mut self.masks, Keep::Nothing, None);
        let device = pass.workspace.device;
        pass.targets = Some(Targets::new(&batch.target_rows, None, Tensor::from_slice(&batch.target_rows).to_device(device)));
        let (h, y) = run(&self.embedding, &self.blocks, &Tensor::from_slice(&batch.token_ids).to_device(device), &mut pass)?;
        Ok((self.head.loss(&(h + y), &batch.target_ids, None, pass.workspace), batch.target_ids.len() as u64))
    }

    /// `[T, V]` fp32 logits of one sequence.
    pub fn logits(&mut self, token_ids: &[i64]) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let batch = Batch { token_ids: token_ids.to_vec(), sequence_lengths: vec![token_ids.len()], ..Batch::default() };
        batch.check(self.config.vocab_size)?;
        let mut pass = begin(&batch, &mut self.rope, &mut self.workspace, &mut self.masks, Keep::Nothing, None);
        let token_ids = Tensor::from_slice(token_ids).to_device(pass.workspace.device);
        let (h, y) = run(&self.embedding, &self.blocks, &token_ids, &mut pass)?;
        Ok(self.head.logits(&(h + y)).to_kind(Kind::Float))
    }

    /// An empty cache for this many tokens.
    pub(crate) fn cache(&self, capacity: usize) -> Result<KeyValueCache, Error> {
        let layers: Vec<_> = self.blocks.iter().map(|block| &block.attention).collect();
        KeyValueCache::new(&layers, capacity, self.workspace.arithmetic.work(), self.workspace.device)
    }

    /// Takes up tokens after those in the cache; `[V]` fp32 logits of what follows the last of them.
    pub(crate) fn next_logits(&mut self, token_ids: &[i64], cache: &mut KeyValueCache) -> Result<Vec<f32>, Error> {
        let batch = Batch { token_ids: token_ids.to_vec(), sequence_lengths: vec![token_ids.len()], ..Batch::default() };
        batch.check(self.config.vocab_size)?;
        let before = cache.length;
        self.rope.reserve(before + token_ids.len());
        let mut pass = begin(&batch, &mut self.rope, &mut self.workspace, &mut self.masks, Keep::Nothing, None);
        pass.positions.iter_mut().for_each(|position| *position += before as i64);
        pass.cache = Some(cache);
        let device = pass.workspace.device;
        let (h, y) = run(&self.embedding, &self.blocks, &Tensor::from_slice(token_ids).to_device(device), &mut pass)?;
        let last = [h, y].map(|x| x.narrow(0, token_ids.len() as i64 - 1, 1));
        let logits = self.head.logits(&(&last[0] + &last[1])).to_kind(Kind::Float).to_device(Device::Cpu).view([-1]);
        cache.length += token_ids.len();
        Vec::try_from(logits).map_err(Error::libtorch("reading logits"))
    }
}

/// Prepares what the layers share.
fn begin<'a>(
    batch: &Batch,
    rope: &'a mut RotaryTable,
    workspace: &'a mut Workspace,
    masks: &'a mut WindowMasks,
    keep: Keep,
    dropout: Option<Dropout>,
) -> Pass<'a> {
    rope.reserve(batch.sequence_lengths.iter().copied().max().unwrap_or(0));
    masks.clear();
    let positions = batch.sequence_lengths.iter().flat_map(|&length| 0..length as i64).collect();
    let rows = batch.tokens();
    Pass {
        workspace,
        rope,
        masks,
        sequences: sequences(batch),
        positions,
        dropout,
        keep,
        cache: None,
        rows,
        targets: None,
        at_targets: false,
        normalisers: Vec::new(),
    }
}

/// Rows of each sequence.
fn sequences(batch: &Batch) -> Vec<Range<usize>> {
    let mut start = 0;
    let rows = batch.sequence_lengths.iter().map(|&length| {
        start += length;
        start - length..start
    });
    rows.collect()
}

/// Embeds and runs all layers; the last hidden state, of target rows only where the pass has targets, is the sum of the two.
fn run(embedding: &Embedding, blocks: &[Block], token_ids: &Tensor, pass: &mut Pass<'_>) -> Result<(Tensor, Tensor), Error> {
    let Some(first) = blocks.first() else {
        return Err(Error::Setting {
            field: "num_hidden_layers",
            value: "0".to_owned(),
            reason: "a model has at least one layer".to_owned(),
        });
    };
    embedding.forward(token_ids, &first.input(0, pass).work);
    let mut residual = Residual::Whole;
    for (layer, block) in blocks.iter().enumerate() {
        let last = layer + 1 == blocks.len();
        residual = block.forward(layer, residual, last, pass)?;
    }
    match residual {
        Residual::Sum { h, y } => Ok((h, y)),
        Residual::Whole => unreachable!("a layer returns a sum"),
    }
}

/// Reports buckets as backward moves on.
struct BucketProgress<'a> {
    ends: &'a [Range<usize>],
    next: usize,
    on_bucket: &'a mut dyn FnMut(usize),
}

impl BucketProgress<'_> {
    fn completed_to(&mut self, offset: usize) {
        while self.ends.get(self.next).is_some_and(|bucket| bucket.end <= offset) {
            (self.on_bucket)(self.next);
            self.next += 1;
        }
    }
}
