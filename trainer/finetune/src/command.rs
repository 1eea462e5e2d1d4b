//! The command line.

use crate::failure::{Failure, Result};
use crate::rank::{self, Ending};
use crate::stop_signal::StopSignal;
use crate::{inputs, restarts, stage, supervisor, termination};
use clap::{Args, Parser, Subcommand};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use temper_contract::{StageReport, TrainerConfig, layout};

/// Prepares data, trains, evaluates, generates and publishes: the part of Temper that links libtorch.
///
/// Events and answers are lines of JSON on standard output; logs go to standard error (TEMPER_LOG_FORMAT=json for machines, RUST_LOG
/// to filter). Exit codes: 0 done, 1 unexpected, 2 usage, 10 invalid input, 11 diverged, 12 storage, 13 peer lost, 14 rendezvous,
/// 15 restarts exhausted, 16 something that the job names is not there, 143 terminated with a checkpoint.
#[derive(Debug, Parser)]
#[command(name = "temper-trainer", version, max_term_width = 100)]
pub(crate) struct Command {
    #[command(subcommand)]
    stage: Stage,
}

#[derive(Debug, Subcommand)]
enum Stage {
    /// Filter and tokenise a job's data into its run folder.
    Prepare(Config),
    /// Train on this node: start and supervise its ranks.
    Train(Config),
    /// Train as one rank (started by `train`, or by any launcher that sets PyTorch's variables).
    Rank(Config),
    /// Write the trained adapter or model, check it, and give it its name.
    Publish(Config),
    /// Say what a job's model and data tell about it, as JSON.
    Inspect(Config),
    /// Measure a model's loss on a data set.
    Evaluate(Request),
    /// Generate text from a model.
    Generate(Request),
}

#[derive(Debug, Args)]
struct Config {
    /// The job's configuration, a JSON file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct Request {
    /// The request, a JSON file.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
}

impl Command {
    /// Runs the command to its end. A stage that is done leaves its report.
    pub(crate) fn run(&self) -> Result<Ending> {
        match &self.stage {
            Stage::Prepare(at) => {
                termination::end_on_signal()?;
                let config = at.read()?;
                inputs::check_before_prepare(&config)?;
                stage::prepare::run(&config)?;
                termination::leave_report(&config.run_folder.join(layout::PREPARE_REPORT), StageReport::Prepared)?;
            }
            Stage::Train(at) => {
                let stop = StopSignal::listen()?;
                return supervisor::run(&at.read()?, &at.config, &stop);
            }
            Stage::Rank(at) => {
                let stop = StopSignal::listen()?;
                return rank::run(&at.read()?, stop);
            }
            Stage::Publish(at) => {
                termination::end_on_signal()?;
                let config = at.read()?;
                inputs::check_base_model(&config)?;
                stage::publish::run(&config)?;
                termination::leave_report(&config.run_folder.join(layout::PUBLISH_REPORT), StageReport::Published)?;
            }
            Stage::Inspect(at) => stage::inspect::run(&at.read()?)?,
            Stage::Evaluate(at) => stage::evaluate::run(&read(&at.request)?)?,
            Stage::Generate(at) => stage::generate::run(&read(&at.request)?)?,
        }
        Ok(Ending::Complete)
    }

    /// The command's name.
    pub(crate) fn name(&self) -> &'static str {
        match &self.stage {
            Stage::Prepare(_) => "prepare",
            Stage::Train(_) => "train",
            Stage::Rank(_) => "rank",
            Stage::Publish(_) => "publish",
            Stage::Inspect(_) => "inspect",
            Stage::Evaluate(_) => "evaluate",
            Stage::Generate(_) => "generate",
        }
    }

    /// For `train`: restarts in place so far, over all attempts of the run. What cannot be read is not known.
    pub(crate) fn in_place_restarts(&self) -> Option<u64> {
        match &self.stage {
            Stage::Train(at) => restarts::count(&at.read().ok()?.run_folder).ok(),
            _ => None,
        }
    }

    /// Whether threads of the process may still be at work when the command has ended.
    pub(crate) fn leaves_threads_behind(&self) -> bool {
        matches!(self.stage, Stage::Train(_))
    }
}

impl Config {
    fn read(&self) -> Result<TrainerConfig> {
        read(&self.config)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let next_step = "give the file that temper or the operator has written";
    let text = std::fs::read(path).map_err(|error| Failure::invalid(format!("failed to read {}: {error}", path.display()), next_step))?;
    serde_json::from_slice(&text).map_err(|error| Failure::invalid(format!("failed to parse {}: {error}", path.display()), next_step))
}
