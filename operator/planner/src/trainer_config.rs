//! The configuration that the trainer of a validated job reads.

use crate::validated::ValidatedFineTuneJob;
use std::path::PathBuf;
use temper_contract::TrainerConfig;
use temper_contract::config::{BaseModel, Dataset, Failure, Validation};

/// A rank whose heartbeat stops for so many seconds is taken for dead.
pub const HEARTBEAT_TIMEOUT_SECONDS: u64 = 10;
/// So many steps in a row with a non-finite gradient are skipped before the job fails.
pub const MAX_NON_FINITE_STEPS: u64 = 10;
/// So many seconds ranks wait for each other at the start.
pub const RENDEZVOUS_TIMEOUT_SECONDS: u64 = 300;

/// Where the executor has put what the job reads and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The run's own folder.
    pub run: PathBuf,
    /// Where checkpoints go.
    pub checkpoints: PathBuf,
    /// Where the model is published.
    pub output: PathBuf,
    /// The base model's folder or file.
    pub base_model: PathBuf,
    /// The dataset's file or folder.
    pub dataset: PathBuf,
    /// The held-out rows' file or folder, where the spec names one.
    pub validation: Option<PathBuf>,
}

/// Joins what the user asked for with where it is. An executor sets `failure.max_restarts` to `Intent::EnsureTrainers`' `restarts_left`
/// before it starts an attempt.
pub fn trainer_config(job: &ValidatedFineTuneJob, folders: &Folders) -> TrainerConfig {
    let preparation = &job.preparation;
    let of_their_own = folders.validation.clone().map(Validation::Path);
    TrainerConfig {
        job_name: job.name.clone(),
        run_folder: folders.run.clone(),
        checkpoint_folder: folders.checkpoints.clone(),
        output_folder: folders.output.clone(),
        base_model: BaseModel { path: folders.base_model.clone(), uri: job.base_model.uri.clone() },
        dataset: Dataset {
            path: folders.dataset.clone(),
            format: preparation.format,
            validation: of_their_own.or(preparation.validation_split.map(Validation::Split)),
            chat_template: preparation.chat_template.clone(),
            max_length: preparation.max_length,
            excess_length_strategy: preparation.excess_length_strategy,
            packing: preparation.packing,
            filters: preparation.filters.clone(),
            seed: job.hyperparameters.seed,
        },
        method: job.method.clone(),
        hyperparameters: job.hyperparameters.clone(),
        evaluation: job.evaluation.clone(),
        parallelism: job.parallelism.clone(),
        checkpoint: job.checkpoint.clone(),
        failure: Failure {
            max_restarts: job.max_restarts,
            heartbeat_timeout_seconds: HEARTBEAT_TIMEOUT_SECONDS,
            stall_timeout_seconds: job.stall_timeout_seconds,
            max_non_finite_steps: MAX_NON_FINITE_STEPS,
            rendezvous_timeout_seconds: RENDEZVOUS_TIMEOUT_SECONDS,
        },
        output: job.output.clone(),
    }
}
