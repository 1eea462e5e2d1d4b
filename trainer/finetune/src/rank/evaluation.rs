//! The held-out loss, each rank a part of it.

use super::signs::Signs;
use crate::exchange::Exchange;
use crate::failure::Result;
use crate::metrics::Metrics;
use crate::stop_signal::StopSignal;
use temper_data::{FlatBatch, TokenCache};
use temper_model::{Batch, Model};

/// The model's view of some examples.
pub(crate) fn flat_batch(cache: &TokenCache, examples: &[usize]) -> Batch {
    let FlatBatch { token_ids, sequence_lengths, target_rows, target_ids, .. } = FlatBatch::collate(cache, examples);
    Batch { token_ids, sequence_lengths, target_rows, target_ids }
}

/// Sum over the held-out targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LossSum {
    pub(super) nats: f64,
    pub(super) targets: f64,
}

/// Computes the loss over the whole cache: batch i on rank `i % world_size`. `None` when a rank was told to stop meanwhile.
pub(super) fn evaluate(
    model: &mut Model,
    cache: &TokenCache,
    batch_size: usize,
    exchange: &Exchange,
    stop: &StopSignal,
    metrics: &Metrics,
) -> Result<Option<LossSum>> {
    let examples: Vec<usize> = (0..cache.len()).collect();
    let mine: Vec<&[usize]> = examples.chunks(batch_size.max(1)).skip(exchange.rank()).step_by(exchange.world_size()).collect();
    let (mut nats, mut targets) = (0.0, 0.0);
    // Each rank says so to its supervisor, which takes one that does not get on for stalled.
    let mut signs = Signs::of_parts("evaluating", mine.len(), metrics);
    for examples in mine {
        if stop.is_set() {
            break;
        }
        let (sum, count) = model.loss_sum(&flat_batch(cache, examples))?;
        nats += sum;
        targets += count as f64;
        signs.got_on();
    }
    let [nats, targets, stops] = exchange.sum([nats, targets, f64::from(u8::from(stop.is_set()))], metrics.device())?;
    Ok((stops == 0.0).then_some(LossSum { nats, targets }))
}
