//! What `prepare` left for the later stages.

use crate::durable::read_json;
use crate::failure::{Failure, Result};
use std::path::Path;
use temper_contract::report::PrepareReport;
use temper_contract::{TrainerConfig, layout};
use temper_data::TokenCache;

/// The report, without which the stage is not done.
pub(crate) fn report(config: &TrainerConfig) -> Result<PrepareReport> {
    let path = config.run_folder.join(layout::PREPARE_REPORT);
    read_json(&path)?.ok_or_else(|| {
        Failure::invalid(format!("{} is missing: the data is not prepared", path.display()), "run temper-trainer prepare first")
    })
}

/// The tokens to train on, which are those that the report is about.
pub(crate) fn train_cache(config: &TrainerConfig, report: &PrepareReport) -> Result<TokenCache> {
    open(&config.run_folder.join(layout::TRAIN_CACHE), report)
}

/// The held-out tokens, if any are held out.
pub(crate) fn validation_cache(config: &TrainerConfig, report: &PrepareReport) -> Result<Option<TokenCache>> {
    if config.dataset.validation.is_none() {
        return Ok(None);
    }
    let cache = open(&config.run_folder.join(layout::VALIDATION_CACHE), report)?;
    Ok((!cache.is_empty()).then_some(cache))
}

fn open(folder: &Path, report: &PrepareReport) -> Result<TokenCache> {
    let cache = TokenCache::open(folder)?;
    if cache.digest() == report.digest {
        return Ok(cache);
    }
    // What is trained on would not be what checkpoints and the job's status say. `prepare` was begun again and ended before its report.
    Err(Failure::invalid(
        format!("{} was made of other data or settings than {} is about", folder.display(), layout::PREPARE_REPORT),
        "run temper-trainer prepare again, to its end",
    ))
}
