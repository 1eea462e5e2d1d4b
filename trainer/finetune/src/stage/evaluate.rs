//! `evaluate`: the loss and perplexity of a model, with or without an adapter, on a data set.

use super::generate::print;
use crate::compute;
use crate::failure::{Failure, Result};
use crate::rank::flat_batch;
use std::time::Instant;
use temper_artifact::ModelSource;
use temper_contract::report::EvaluationReport;
use temper_contract::request::EvaluateRequest;
use temper_data::TokenCache;
use temper_model::Model;

/// Prints an `EvaluationReport` as JSON.
pub(crate) fn run(request: &EvaluateRequest) -> Result<()> {
    let started = Instant::now();
    compute::set_threads(request.compute.threads)?;
    let device = compute::device(request.compute.device, 0)?;
    let source = ModelSource::open(&request.model)?;
    let temporary = std::env::temp_dir();
    let folder = tempfile::Builder::new().prefix("temper-evaluate-").tempdir().map_err(Failure::at("make a folder in", &temporary))?;
    // Answers have standard output to themselves, so what happens to the rows is only logged.
    let counts = temper_data::tokenise(request, &source, folder.path(), &mut |event| tracing::debug!(?event))?;
    if counts.rejected_total() > 0 {
        tracing::warn!(rejected = counts.rejected_total(), rows = counts.rows, reasons = ?counts.rejected, "rows were left out");
    }
    let cache = TokenCache::open(folder.path())?;
    let mut model = Model::load_frozen(&source, request.adapter.as_deref(), request.compute.precision, device)?;
    let examples: Vec<usize> = (0..cache.len()).collect();
    let (mut nats, mut target_tokens) = (0.0, 0);
    for batch in examples.chunks(request.batch_size.max(1)) {
        let (sum, count) = model.loss_sum(&flat_batch(&cache, batch))?;
        nats += sum;
        target_tokens += count;
    }
    let loss = nats / target_tokens.max(1) as f64;
    print(&EvaluationReport {
        loss,
        perplexity: loss.exp(),
        target_tokens,
        examples: cache.len() as u64,
        seconds: started.elapsed().as_secs_f64(),
    })
}
