//! The configuration that the trainer of a validated job reads.

use crate::validated::{Location, ValidatedFineTuneJob};
use std::collections::BTreeMap;
use std::path::PathBuf;
use temper_contract::TrainerConfig;
use temper_contract::config::{BaseModel, Checkpoint, Credentials, Dataset, Failure, Output, Remote, Validation};

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
    /// The folder that each Secret's keys are in, as files, by the Secret's name.
    pub secrets: BTreeMap<String, PathBuf>,
    /// The name of the job's own folder in places on object stores that may serve many jobs.
    pub run_name: String,
}

impl Folders {
    /// What is read from an object store or a hub, as the trainer is told of it; `None` for a folder.
    fn source(&self, location: &Location) -> Option<Remote> {
        location.is_remote().then(|| Remote {
            uri: location.uri.clone(),
            revision: location.revision.clone(),
            credentials: location
                .secret
                .as_ref()
                .map(|secret| Credentials { secret: secret.clone(), folder: self.secrets.get(secret).cloned().unwrap_or_default() }),
        })
    }

    /// The job's own folder on an object store, which is written to.
    fn target(&self, location: Option<&Location>) -> Option<Remote> {
        let location = location?;
        self.source(location).map(|remote| Remote { uri: location.folder_of(&self.run_name), ..remote })
    }
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
        base_model: BaseModel { path: folders.base_model.clone(), uri: job.base_model.uri.clone(), fetch: folders.source(&job.base_model) },
        dataset: Dataset {
            path: folders.dataset.clone(),
            fetch: folders.source(&job.dataset),
            fetch_validation: job.validation.as_ref().and_then(|location| folders.source(location)),
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
        checkpoint: Checkpoint { mirror: folders.target(job.checkpoint_location.as_ref()), ..job.checkpoint.clone() },
        failure: Failure {
            max_restarts: job.max_restarts,
            heartbeat_timeout_seconds: HEARTBEAT_TIMEOUT_SECONDS,
            stall_timeout_seconds: job.stall_timeout_seconds,
            max_non_finite_steps: MAX_NON_FINITE_STEPS,
            rendezvous_timeout_seconds: RENDEZVOUS_TIMEOUT_SECONDS,
        },
        output: Output { upload: folders.target(job.output_location.as_ref()), ..job.output.clone() },
    }
}
