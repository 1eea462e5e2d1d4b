//! A job that can be run here: validated, its inputs found and digested, its folders named.

use crate::local::home::Home;
use crate::local::identity::{Identity, Inputs};
use crate::local::inputs::Digests;
use crate::local::run_folder::RunFolder;
use crate::local::volumes::{Input, Volumes};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use temper_contract::{TrainerConfig, layout};
use temper_crds::finetunejob::trainer::NVIDIA_GPU;
use temper_crds::{FineTuneJob, Timestamp};
use temper_planner::identity::spec_digest;
use temper_planner::validated::Location;
use temper_planner::{Capabilities, Folders, Problem, Target, ValidatedFineTuneJob, trainer_config, validate};

/// Whether this machine has GPUs is not looked at: `check` refuses every job that asks for them.
const CAPABILITIES: Capabilities = Capabilities { target: Target::Local, cuda: true };

/// Where a job's inputs are, and where it is to leave what it makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The base model.
    pub base_model: Input,
    /// The data set.
    pub dataset: Input,
    /// Held-out rows of their own, if the manifest names some.
    pub validation: Option<Input>,
    /// Where checkpoints go, if the manifest names a folder.
    checkpoints: Option<PathBuf>,
    /// Where the model goes, if the manifest names a folder.
    output: Option<PathBuf>,
    /// Folders with the keys of Secrets, by name.
    secrets: BTreeMap<String, PathBuf>,
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
    let mut problems: Vec<Problem> = gpus(job).into_iter().collect();
    let validated = match validate(job, CAPABILITIES) {
        Ok(validated) => validated,
        Err(found) => {
            problems.extend(found);
            return Err(problems);
        }
    };
    let base_model = noted(&mut problems, volumes.input(&validated.base_model, "spec.baseModel.storageUri"));
    let dataset = noted(&mut problems, volumes.input(&validated.dataset, "spec.dataset.storageUri"));
    let validation = validated.validation.as_ref().map(|location| volumes.input(location, "spec.dataset.validation.storageUri"));
    let validation = validation.and_then(|input| noted(&mut problems, input));
    let target = |location: Option<&Location>, field| location.map_or(Ok(None), |location| volumes.target(location, field));
    let checkpoints = noted(&mut problems, target(validated.checkpoint_location.as_ref(), "spec.checkpoint.storageUri")).flatten();
    let output = noted(&mut problems, target(validated.output_location.as_ref(), "spec.output.storageUri")).flatten();
    let secrets =
        validated.locations().filter_map(|named| noted(&mut problems, volumes.secret(named.location, named.secret_field)).flatten());
    let secrets = secrets.collect();
    // Held-out rows take the Secret of the rest.
    problems.dedup();
    match (base_model, dataset) {
        (Some(base_model), Some(dataset)) if problems.is_empty() => {
            Ok((validated, Sources { base_model, dataset, validation, checkpoints, output, secrets }))
        }
        _ => Err(problems),
    }
}

/// That a job asks for GPUs, which no local run uses yet, whatever this machine has.
fn gpus(job: &FineTuneJob) -> Option<Problem> {
    let quantity = job.spec.trainer.resources_per_node.limits.get(NVIDIA_GPU)?;
    quantity.thousandths().is_some_and(|amount| amount > 0).then(|| {
        Problem::new(
            format!("spec.trainer.resourcesPerNode.limits[{NVIDIA_GPU}]"),
            quantity,
            "training on the GPUs of one machine is not supported yet",
            "remove it to train on the processor, or give the job to a cluster: kubectl apply -f FILE",
        )
    })
}

/// What of the manifest only a cluster heeds, in a sentence; `None` for a manifest without.
pub fn without_effect(job: &ValidatedFineTuneJob) -> Option<String> {
    let placement = &job.placement;
    let resources = &placement.resources;
    let mut fields: Vec<String> = placement.named().into_iter().map(|field| format!("spec.trainer.{field}")).collect();
    // Threads come from the processors, and the estimate is compared with the memory.
    let ignored = resources.limits.keys().filter(|name| !["cpu", "memory", NVIDIA_GPU].contains(&name.as_str()));
    fields.extend(ignored.map(|name| format!("spec.trainer.resourcesPerNode.limits[{name}]")));
    fields.extend(resources.requests.keys().map(|name| format!("spec.trainer.resourcesPerNode.requests[{name}]")));
    fields.extend(job.ttl_seconds_after_finished.map(|_| "spec.ttlSecondsAfterFinished".to_owned()));
    fields.extend(placement.queue_labels.keys().map(|label| format!("metadata.labels[{label}]")));
    fields.extend(placement.topology.keys().map(|annotation| format!("metadata.annotations[{annotation}]")));
    (!fields.is_empty()).then(|| format!("only a cluster heeds {}: no effect on this machine", fields.join(", ")))
}

/// What was found, or `None` with the problem among the others.
fn noted<T>(problems: &mut Vec<Problem>, found: Result<T, Problem>) -> Option<T> {
    found.map_err(|problem| problems.push(problem)).ok()
}

/// The trainer's configuration of a job that is only looked at: what would be written stands in `scratch`.
pub fn config_in(validated: &ValidatedFineTuneJob, sources: &Sources, scratch: &Path) -> TrainerConfig {
    let sources = Sources { checkpoints: None, output: None, ..sources.clone() };
    trainer_config(validated, &folders(sources, &RunFolder::new(scratch.to_path_buf()), "scratch"))
}

/// All folders of a run. Those that the manifest names may serve many runs: each has its own in them.
fn folders(sources: Sources, run: &RunFolder, run_name: &str) -> Folders {
    let fetched = |name: &'static str| move || run.root().join(name);
    Folders {
        run: run.root().to_path_buf(),
        checkpoints: sources.checkpoints.map_or_else(|| run.checkpoints(), |folder| folder.join(run_name)),
        output: sources.output.map_or_else(|| run.output(), |folder| folder.join(run_name)),
        base_model: sources.base_model.path(fetched(layout::FETCHED_BASE_MODEL)),
        dataset: sources.dataset.path(fetched(layout::FETCHED_DATASET)),
        validation: sources.validation.map(|input| input.path(fetched(layout::FETCHED_VALIDATION))),
        secrets: sources.secrets,
        run_name: run_name.to_owned(),
    }
}

impl LocalJob {
    /// Digests the inputs and names the folders. What lies elsewhere is known by its URI and revision, which the specification's digest has.
    pub fn new(job: &FineTuneJob, validated: ValidatedFineTuneJob, sources: Sources, home: &Home, digests: &mut Digests) -> Result<Self> {
        let named = [
            (Some(&sources.base_model), "spec.baseModel"),
            (Some(&sources.dataset), "spec.dataset"),
            (sources.validation.as_ref(), "spec.dataset.validation"),
        ];
        let mut inputs = Inputs::new();
        for (input, field) in named {
            if let Some(Input::Here(path)) = input {
                inputs.insert(field.to_owned(), digests.of(path, &format!("{field}.storageUri"))?);
            }
        }
        let identity = Identity::of(&validated.name, &spec_digest(&validated), &inputs);
        let run_name = identity.run_name();
        let run = RunFolder::new(home.run(&run_name));
        let folders = folders(sources, &run, &run_name);
        let environment = job.spec.trainer.env.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect();
        Ok(Self { validated, identity, run, folders, environment })
    }

    /// Whether it goes to a hub or an object store as the user of this machine: it names no Secret for it.
    pub fn takes_identity(&self) -> bool {
        self.validated.locations().any(|named| named.location.is_remote() && named.location.secret.is_none())
    }

    /// What the trainer reads.
    pub fn config(&self) -> TrainerConfig {
        trainer_config(&self.validated, &self.folders)
    }

    /// The same for a run that was started over at this moment, if it ever was. What it copies to an object store lies beside what it
    /// copied before, which stays there: a run that is started over does not go on from that, and nothing is deleted there unasked.
    pub fn config_since(&self, started_over_at: Option<Timestamp>) -> TrainerConfig {
        let mut config = self.config();
        if let (Some(mirror), Some(at)) = (&mut config.checkpoint.mirror, started_over_at) {
            mirror.uri = format!("{}-{}", mirror.uri, at.as_millisecond());
        }
        config
    }
}
