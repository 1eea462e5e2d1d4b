//! What `temper run` would do with a job as it stands.

use crate::local::durable;
use crate::local::home::Home;
use crate::local::job::LocalJob;
use crate::local::machine;
use crate::local::model_check::{self, ModelCheck};
use crate::local::observe::{Live, observe};
use crate::local::registry::Registry;
use crate::local::state::RunState;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;
use temper_contract::config::{Hyperparameters, Method};
use temper_contract::report::{DatasetCounts, Parameters};
use temper_crds::Timestamp;
use temper_planner::plan::Situation;
use temper_planner::{Observed, Problem, Stage, plan};

/// The stage that no process runs for.
const REGISTER: &str = "register";

/// What would happen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// The job's name.
    pub job: String,
    /// The run's folder.
    pub run: PathBuf,
    /// The state in a sentence.
    pub situation: String,
    /// The stages in order.
    pub stages: Vec<StageForecast>,
    /// The base model; absent until `prepare` has fetched it, where it is not on this machine.
    pub model: Option<ModelForecast>,
    /// Examples in one optimizer step.
    pub examples_per_step: u64,
    /// Optimizer steps; absent until the data is prepared, where the manifest gives epochs.
    pub total_steps: Option<u64>,
    /// Rows by fate, once the data is prepared.
    pub dataset: Option<DatasetCounts>,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StageForecast {
    /// Its name.
    pub name: String,
    /// `done`, `next` or `later`.
    pub state: String,
    /// Processes that run at the same time; 0 for a stage of `temper` itself.
    pub processes: u64,
    /// What it does.
    pub action: String,
}

/// The base model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelForecast {
    /// The architecture.
    pub family: String,
    /// Parameters, adapters included, and how many are trained.
    pub parameters: Parameters,
    /// Linear modules that get an adapter; 0 with full fine-tuning.
    pub adapted_modules: usize,
    /// Estimated peak memory of one rank, in bytes.
    pub memory_bytes_per_rank: u64,
    /// Of it by purpose.
    pub memory_bytes: MemoryForecast,
    /// Estimated peak memory of all ranks on this machine, in bytes.
    pub memory_bytes_total: u64,
    /// What this machine could give to processes at the moment, in bytes, where it can be told.
    pub memory_bytes_available: Option<u64>,
}

/// Memory of one rank by purpose, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MemoryForecast {
    pub weights: u64,
    pub gradients: u64,
    pub optimizer: u64,
    pub activations: u64,
}

impl Forecast {
    /// Looks at a job's model and run folder; the inner error is a problem of the manifest.
    pub fn of(job: &LocalJob, home: &Home) -> Result<Result<Self, Vec<Problem>>> {
        let config = job.config();
        let prepared = job.run.prepare_report()?;
        let is_here = config.base_model.fetch.is_none() || prepared.is_some();
        let model = match is_here.then(|| model_check::check(&config)).transpose() {
            Ok(model) => model,
            Err(problem) => return Ok(Err(vec![problem])),
        };
        let state: RunState = durable::read_json(&job.run.state())?.unwrap_or_default();
        let observed = observe(&job.run, &job.folders.checkpoints, &state, &Live::default())?;
        // Like the planner, only before the first attempt: later ones have shown that it fits.
        if observed.training.is_empty()
            && let Some(problem) = model.as_ref().and_then(|model| model.excess(&job.validated))
        {
            return Ok(Err(vec![problem]));
        }
        let situation = plan(&job.validated, &observed, Timestamp::now()).situation;
        let dataset = prepared.map(|report| report.counts);
        let parallelism = &job.validated.parallelism;
        let examples_per_step = (parallelism.micro_batches_per_step * job.validated.hyperparameters.per_device_train_batch_size) as u64;
        let checkpoint = observed.checkpoint.as_ref().map(|checkpoint| checkpoint.step);
        let ranks = parallelism.world_size() as u64;
        Ok(Ok(Self {
            job: job.validated.name.clone(),
            run: job.run.root().to_path_buf(),
            situation: sentence(&situation, checkpoint),
            stages: stages(job, home, &situation, undone(&observed))?,
            model: model.map(|model| ModelForecast::of(model, ranks)),
            examples_per_step,
            total_steps: total_steps(&job.validated.hyperparameters, dataset.as_ref(), examples_per_step),
            dataset,
        }))
    }
}

impl ModelForecast {
    fn of(model: ModelCheck, ranks: u64) -> Self {
        Self {
            family: model.family,
            parameters: model.parameters,
            adapted_modules: model.adapted_modules,
            memory_bytes_per_rank: model.memory.total,
            memory_bytes: MemoryForecast {
                weights: model.memory.weights,
                gradients: model.memory.gradients,
                optimizer: model.memory.optimizer,
                activations: model.memory.activations,
            },
            memory_bytes_total: model.memory.total.saturating_mul(ranks),
            memory_bytes_available: machine::available_memory(),
        }
    }
}

/// `maxSteps`, or what the epochs come to: an epoch's last step may hold fewer examples.
fn total_steps(hyperparameters: &Hyperparameters, dataset: Option<&DatasetCounts>, examples_per_step: u64) -> Option<u64> {
    hyperparameters.max_steps.or_else(|| {
        let steps_per_epoch = dataset?.examples.div_ceil(examples_per_step.max(1));
        Some((steps_per_epoch as f64 * hyperparameters.num_train_epochs).ceil() as u64)
    })
}

fn sentence(situation: &Situation, checkpoint: Option<u64>) -> String {
    match (situation, checkpoint) {
        (Situation::Complete, _) => "complete: nothing to do".to_owned(),
        (Situation::Suspended, _) => "suspended: spec.suspend is true".to_owned(),
        (Situation::Failed { reason, message }, _) => format!("failed ({reason}): {message}; temper run would try again"),
        (Situation::Oversized { message }, _) => format!("too large: {message}"),
        (Situation::Registering, _) => "would register the published model".to_owned(),
        (Situation::Working { stage: Stage::Prepare, .. }, _) => "would start from the beginning".to_owned(),
        (Situation::Working { stage: Stage::Train, .. } | Situation::BackingOff { stage: Stage::Train, .. }, Some(step)) => {
            format!("would continue at step {step}")
        }
        (
            Situation::Working { stage, .. }
            | Situation::BackingOff { stage, .. }
            | Situation::Awaiting { stage, .. }
            | Situation::Stopping { stage, .. },
            _,
        ) => {
            format!("would continue with {stage}")
        }
    }
}

/// The first stage that has left no report.
fn undone(observed: &Observed) -> &'static str {
    if observed.prepare.iter().all(|attempt| attempt.report().is_none()) {
        Stage::Prepare.name()
    } else if observed.training.iter().all(|training| training.attempt.report().is_none()) {
        Stage::Train.name()
    } else if observed.publish.iter().all(|attempt| attempt.report().is_none()) {
        Stage::Publish.name()
    } else {
        REGISTER
    }
}

fn stages(job: &LocalJob, home: &Home, situation: &Situation, undone: &'static str) -> Result<Vec<StageForecast>> {
    let validated = &job.validated;
    let parallelism = &validated.parallelism;
    let method = match &validated.method {
        Method::Lora(lora) => format!("LoRA (r {}, {})", lora.r, lora.target_modules.join(", ")),
        Method::Full => "every parameter".to_owned(),
    };
    let mut stages = vec![
        ("prepare", 1, "filter, tokenise and pack the rows".to_owned()),
        (
            "train",
            parallelism.world_size() as u64,
            format!(
                "{} x {} on {} ({} thread{} each): {method}",
                counted(parallelism.num_nodes, "node"),
                counted(parallelism.num_proc_per_node, "process"),
                format!("{:?}", parallelism.device).to_lowercase(),
                parallelism.threads_per_proc,
                if parallelism.threads_per_proc == 1 { "" } else { "s" },
            ),
        ),
        (
            "publish",
            1,
            match validated.method {
                Method::Lora(_) if !validated.output.merge_adapter => "write and check the PEFT adapter".to_owned(),
                _ => "write and check the whole model".to_owned(),
            },
        ),
    ];
    if let Some(register) = &validated.register {
        let newest = Registry::new(home).versions(&register.model_name)?.last().map_or(0, |entry| entry.version.spec.version);
        let action = match situation {
            Situation::Complete => format!("{}, stage {}", register.model_name, register.stage),
            _ => format!("version {} of {}, stage {}", newest + 1, register.model_name, register.stage),
        };
        stages.push((REGISTER, 0, action));
    }
    let next = match situation {
        Situation::Working { stage, .. }
        | Situation::BackingOff { stage, .. }
        | Situation::Awaiting { stage, .. }
        | Situation::Stopping { stage, .. } => Some(stage.name()),
        Situation::Registering => Some(REGISTER),
        Situation::Oversized { .. } => Some(Stage::Train.name()),
        Situation::Complete => None,
        Situation::Suspended | Situation::Failed { .. } => Some(undone),
    };
    let next = next.and_then(|next| stages.iter().position(|(name, ..)| *name == next)).unwrap_or(stages.len());
    let state = |index: usize| match index.cmp(&next) {
        std::cmp::Ordering::Less => "done",
        std::cmp::Ordering::Equal => "next",
        std::cmp::Ordering::Greater => "later",
    };
    let forecast = stages.into_iter().enumerate().map(|(index, (name, processes, action))| StageForecast {
        name: name.to_owned(),
        state: state(index).to_owned(),
        processes,
        action,
    });
    Ok(forecast.collect())
}

fn counted(count: usize, one: &str) -> String {
    match (count, one.ends_with('s')) {
        (1, _) => format!("1 {one}"),
        (_, true) => format!("{count} {one}es"),
        (_, false) => format!("{count} {one}s"),
    }
}
