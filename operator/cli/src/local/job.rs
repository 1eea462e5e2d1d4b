//! A job that can be run here: validated, its inputs found and digested, its folders named.

use crate::local::home::Home;
use crate::local::identity::{Identity, Inputs};
use crate::local::inputs::Digests;
use crate::local::run_folder::RunFolder;
use crate::local::volumes::Volumes;
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use temper_contract::TrainerConfig;
use temper_crds::FineTuneJob;
use temper_planner::identity::spec_digest;
use temper_planner::{Capabilities, Folders, Problem, ValidatedFineTuneJob, trainer_config, validate};

/// Where a job's inputs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The base model.
    pub base_model: PathBuf,
    /// The data set.
    pub dataset: PathBuf,
    /// Held-out rows of their own, if the manifest names some.
    pub validation: Option<PathBuf>,
    checkpoints: Option<PathBuf>,
    output: Option<PathBuf>,
}

/// A job that can be run here.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalJob {
    /// The job as every decision sees it.
    pub validated: ValidatedFineTuneJob,
    /// What makes two runs the same.
    pub identity: Identity,
    /// The run's folder.
    pub run: RunFolder,
    /// All folders.
    pub folders: Folders,
    /// The manifest's own variables for the trainer.
    pub environment: BTreeMap<String, String>,
}

/// Checks a job for this machine, all problems together.
pub fn check(job: &FineTuneJob, volumes: &Volumes) -> Result<(ValidatedFineTuneJob, Sources), Vec<Problem>> {
    let validated = validate(job, Capabilities::LOCAL_CPU)?;
    let mut problems = Vec::new();
    let mut path = |found: Result<PathBuf, Problem>| found.map_err(|problem| problems.push(problem)).ok();
    let base_model = path(volumes.existing(&validated.base_model, "spec.baseModel.storageUri"));
    let dataset = path(volumes.existing(&validated.dataset, "spec.dataset.storageUri"));
    let validation =
        validated.validation.as_ref().and_then(|location| path(volumes.existing(location, "spec.dataset.validation.storageUri")));
    let checkpoints =
        validated.checkpoint_location.as_ref().and_then(|location| path(volumes.path(location, "spec.checkpoint.storageUri")));
    let output = validated.output_location.as_ref().and_then(|location| path(volumes.path(location, "spec.output.storageUri")));
    match (base_model, dataset) {
        (Some(base_model), Some(dataset)) if problems.is_empty() => {
            Ok((validated, Sources { base_model, dataset, validation, checkpoints, output }))
        }
        _ => Err(problems),
    }
}

/// The trainer's configuration of a job that is only looked at: what would be written stands in `scratch`.
pub fn config_in(validated: &ValidatedFineTuneJob, sources: &Sources, scratch: &Path) -> TrainerConfig {
    let run = RunFolder::new(scratch.to_path_buf());
    let folders = Folders {
        checkpoints: run.checkpoints(),
        output: run.output(),
        base_model: sources.base_model.clone(),
        dataset: sources.dataset.clone(),
        validation: sources.validation.clone(),
        secrets: scratch.join("secrets"),
        run: scratch.to_path_buf(),
    };
    trainer_config(validated, &folders)
}

impl LocalJob {
    /// Digests the inputs and names the folders.
    pub fn new(job: &FineTuneJob, validated: ValidatedFineTuneJob, sources: Sources, home: &Home, digests: &mut Digests) -> Result<Self> {
        let mut inputs = Inputs::from([
            ("spec.baseModel".to_owned(), digests.of(&sources.base_model, "spec.baseModel.storageUri")?),
            ("spec.dataset".to_owned(), digests.of(&sources.dataset, "spec.dataset.storageUri")?),
        ]);
        if let Some(validation) = &sources.validation {
            inputs.insert("spec.dataset.validation".to_owned(), digests.of(validation, "spec.dataset.validation.storageUri")?);
        }
        let identity = Identity::of(&validated.name, &spec_digest(&validated), &inputs);
        let run_name = identity.run_name();
        let run = RunFolder::new(home.run(&run_name));
        // Folders that the manifest names may serve many runs: each has its own in them.
        let folders = Folders {
            run: run.root().to_path_buf(),
            checkpoints: sources.checkpoints.map_or_else(|| run.checkpoints(), |folder| folder.join(&run_name)),
            output: sources.output.map_or_else(|| run.output(), |folder| folder.join(&run_name)),
            base_model: sources.base_model,
            dataset: sources.dataset,
            validation: sources.validation,
            secrets: run.root().join("secrets"),
        };
        let environment = job.spec.trainer.env.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect();
        Ok(Self { validated, identity, run, folders, environment })
    }

    /// What the trainer reads.
    pub fn config(&self) -> TrainerConfig {
        trainer_config(&self.validated, &self.folders)
    }
}
