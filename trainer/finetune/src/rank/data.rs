//! The prepared data, and which of it each step sees.

use crate::failure::Result;
use crate::stage::prepared;
use temper_contract::TrainerConfig;
use temper_contract::report::PrepareReport;
use temper_data::TokenCache;
use temper_data::sampler::Plan;

/// What `prepare` left, opened.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) report: PrepareReport,
    pub(super) train: TokenCache,
    pub(super) validation: Option<TokenCache>,
}

impl Data {
    pub(super) fn open(config: &TrainerConfig) -> Result<Self> {
        let report = prepared::report(config)?;
        let train = prepared::train_cache(config, &report)?;
        let validation = prepared::validation_cache(config, &report)?;
        Ok(Self { report, train, validation })
    }

    /// The order of the examples; `micro_batches_per_step` is the first run's, whatever the number of ranks is now.
    pub(super) fn plan(&self, config: &TrainerConfig, micro_batches_per_step: usize) -> Plan {
        let hyperparameters = &config.hyperparameters;
        Plan::new(
            hyperparameters.seed,
            self.train.len(),
            hyperparameters.per_device_train_batch_size,
            micro_batches_per_step,
            hyperparameters.num_train_epochs,
            hyperparameters.max_steps,
        )
    }
}

/// Tokens of some examples, and how many of them the loss counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TokenCounts {
    pub(super) tokens: u64,
    pub(super) targets: u64,
}

/// Counts from the token cache, which every rank has: no rank needs to ask another. The first token of a sequence follows nothing, so it
/// is never a target.
pub(super) fn count<'a>(cache: &TokenCache, examples: impl Iterator<Item = &'a usize>) -> TokenCounts {
    let mut counts = TokenCounts::default();
    for segment in examples.flat_map(|&example| cache.example(example).segments()) {
        counts.tokens += segment.ids.len() as u64;
        counts.targets += segment.targets.iter().skip(1).filter(|&&target| target != 0).count() as u64;
    }
    counts
}
