//! What a finished run comes to: the figures, the places and the next commands.

use crate::local::comparison::Judged;
use crate::local::job::LocalJob;
use crate::local::state::{Registered, RunState};
use crate::requirement::{Figures, Verdict};
use crate::shell::{quoted, quoted_path};
use anyhow::{Context, Result};
use serde::Serialize;
use std::path::PathBuf;
use temper_contract::report::{DatasetCounts, Parameters};
use temper_crds::Stage as RegistryStage;
use temper_planner::Stage;

/// Everything worth telling of a finished run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The job's name.
    pub job: String,
    /// Whether it was complete before this command.
    pub already_complete: bool,
    /// Held-out figures; absent without held-out rows.
    pub held_out: Option<HeldOut>,
    /// Rows by fate.
    pub dataset: DatasetCounts,
    /// Parameters and how many were trained.
    pub parameters: Parameters,
    /// How training went.
    pub training: Training,
    /// Wall time by stage.
    pub seconds: Seconds,
    /// Where everything is.
    pub places: Places,
    /// The registry's version.
    pub model_version: Option<ModelVersionSummary>,
    /// Answers before and after.
    pub comparison: Option<Judged>,
    /// The thresholds asked for.
    pub requirements: Vec<Verdict>,
    /// Commands to try next.
    pub next: Vec<String>,
}

/// Loss (nats a target token) and perplexity of the held-out rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct HeldOut {
    pub loss_before: f64,
    pub loss_after: f64,
    pub perplexity_before: f64,
    pub perplexity_after: f64,
    /// Share of the perplexity that is gone: 0.4 is 40%.
    pub perplexity_drop: f64,
}

/// How training went.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Training {
    pub steps: u64,
    pub total_steps: u64,
    /// `complete` or `earlyStopping`.
    pub reason: String,
    pub training_loss: f64,
    pub tokens: u64,
    pub tokens_per_second: f64,
    pub ranks: usize,
    pub restarts: u64,
    /// Of rank 0.
    pub peak_memory_bytes: u64,
}

/// Wall time by stage, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Seconds {
    pub prepare: f64,
    pub train: f64,
    /// Of `train`.
    pub evaluate: f64,
    pub publish: f64,
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Places {
    pub model: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<String>,
    pub run: PathBuf,
    pub checkpoints: PathBuf,
    pub logs: PathBuf,
}

/// The registry's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ModelVersionSummary {
    pub name: String,
    pub model_name: String,
    pub version: u32,
    pub stage: RegistryStage,
    pub folder: PathBuf,
    pub digest: String,
}

impl Summary {
    /// The summary of a run that is complete.
    pub fn of(job: &LocalJob, state: &RunState, already_complete: bool) -> Result<Self> {
        let gone = |stage: &str| format!("the report of {stage} is gone from {}; start over with --fresh", job.run.root().display());
        let prepared = job.run.prepare_report()?.with_context(|| gone("prepare"))?;
        let trained = job.run.train_report()?.with_context(|| gone("train"))?;
        let published = job.run.publish_report()?.with_context(|| gone("publish"))?;
        let registered = state.registered.as_ref();
        Ok(Self {
            job: job.validated.name.clone(),
            already_complete,
            held_out: trained.validation.map(|loss| HeldOut {
                loss_before: loss.before,
                loss_after: loss.after,
                perplexity_before: loss.before.exp(),
                perplexity_after: loss.after.exp(),
                perplexity_drop: 1.0 - (loss.after - loss.before).exp(),
            }),
            dataset: prepared.counts,
            parameters: trained.parameters,
            training: Training {
                steps: trained.step,
                total_steps: trained.total_steps,
                reason: trained.reason,
                training_loss: trained.training_loss,
                tokens: trained.tokens,
                tokens_per_second: trained.tokens_per_second,
                ranks: job.validated.parallelism.world_size(),
                restarts: trained.restarts,
                peak_memory_bytes: trained.peak_memory_bytes,
            },
            seconds: Seconds {
                prepare: prepared.seconds,
                train: trained.seconds,
                evaluate: trained.evaluation_seconds,
                publish: state.seconds(Stage::Publish),
            },
            places: Places {
                model: registered.map_or_else(|| PathBuf::from(&published.path), |registered| registered.model.clone()),
                uploaded: job.config().output.upload.map(|remote| remote.uri),
                run: job.run.root().to_path_buf(),
                checkpoints: job.folders.checkpoints.clone(),
                logs: job.run.logs(),
            },
            model_version: registered.map(|registered| version(job, registered, &published.digest)),
            comparison: None,
            requirements: Vec::new(),
            next: Vec::new(),
        })
    }

    /// What `--require` can ask about.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::from([("tokensPerSecond", self.training.tokens_per_second), ("trainingSeconds", self.seconds.train)]);
        if let Some(held_out) = &self.held_out {
            figures.extend([
                ("perplexityDrop", held_out.perplexity_drop),
                ("perplexityBefore", held_out.perplexity_before),
                ("perplexityAfter", held_out.perplexity_after),
                ("lossBefore", held_out.loss_before),
                ("lossAfter", held_out.loss_after),
            ]);
        }
        if let Some(comparison) = &self.comparison {
            figures.extend(comparison.matches_before.map(|count| ("matchesBefore", count as f64)));
            figures.extend(comparison.matches_after.map(|count| ("matchesAfter", count as f64)));
        }
        figures
    }
}

fn version(job: &LocalJob, registered: &Registered, digest: &str) -> ModelVersionSummary {
    ModelVersionSummary {
        name: registered.name.clone(),
        model_name: registered.model_name.clone(),
        version: registered.version,
        stage: job.validated.register.as_ref().map(|register| register.stage).unwrap_or_default(),
        folder: registered.model.clone(),
        digest: digest.to_owned(),
    }
}

/// How the user calls this program, for commands to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program, as it was typed.
    pub program: String,
    /// `--home` as given.
    pub home: Option<PathBuf>,
    /// `--trainer` as given.
    pub trainer: Option<PathBuf>,
}

impl Invocation {
    /// Commands to try with a finished model.
    pub fn next_commands(&self, summary: &Summary, job: &LocalJob, prompt: Option<&str>) -> Vec<String> {
        let model = match &summary.model_version {
            Some(version) => format!("--model registry:{}/{}", version.model_name, version.version),
            None if matches!(job.validated.method, temper_contract::config::Method::Lora(_)) && !job.validated.output.merge_adapter => {
                format!("--model {} --adapter {}", quoted_path(&job.folders.base_model), quoted_path(&summary.places.model))
            }
            None => format!("--model {}", quoted_path(&summary.places.model)),
        };
        let mut shared = String::new();
        for (flag, path) in [("--home", &self.home), ("--trainer", &self.trainer)] {
            if let Some(path) = path {
                shared.push_str(&format!(" {flag} {}", quoted_path(path)));
            }
        }
        let program = quoted(&self.program);
        let data = job.folders.validation.as_ref().unwrap_or(&job.folders.dataset);
        let format = match job.validated.preparation.format {
            temper_contract::config::DatasetFormat::Text => " --format text",
            temper_contract::config::DatasetFormat::PromptCompletion => " --format prompt-completion",
            temper_contract::config::DatasetFormat::Messages => "",
            temper_contract::config::DatasetFormat::Alpaca => " --format alpaca",
        };
        // Longer examples were cut or left out: cut here, the loss is that of the table.
        let length = job.validated.preparation.max_length;
        vec![
            format!("{program} generate {model}{shared} --prompt {}", quoted(prompt.unwrap_or("Hello!"))),
            format!("{program} evaluate {model}{shared} --data {}{format} --max-length {length}", quoted_path(data)),
        ]
    }
}
