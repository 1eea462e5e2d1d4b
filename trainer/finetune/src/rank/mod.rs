//! One rank: the training loop.

mod data;
mod environment;
mod evaluation;
mod heartbeat;
mod observers;
mod report;
mod setup;
mod signs;
mod step;
mod takeover;
mod training;

pub(crate) use environment::number;
pub(crate) use evaluation::flat_batch;

use crate::failure::Result;
use crate::stop_signal::StopSignal;
use environment::Environment;
use temper_contract::TrainerConfig;
use training::{Progress, Training};

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The last planned step is done.
    Complete,
    /// Evaluations stopped improving.
    EarlyStopping,
    /// A signal came; the checkpoint is written.
    Terminated,
}

impl Ending {
    /// The word that events and reports have for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::EarlyStopping => "earlyStopping",
            Self::Terminated => "terminated",
        }
    }
}

/// Trains as the rank that the environment says.
pub(crate) fn run(config: &TrainerConfig, stop: StopSignal) -> Result<Ending> {
    let environment = Environment::read()?;
    let _span = tracing::info_span!("rank", number = environment.rank).entered();
    let _heartbeat_at_setup = heartbeat::start(environment.rank)?;
    let mut training = setup::compose(config, &environment, stop)?;
    let ending = train(&mut training)?;
    training.finish(ending)?;
    Ok(ending)
}

fn train(training: &mut Training) -> Result<Ending> {
    loop {
        if training.evaluation_is_due() && training.evaluate()? == Progress::Stop {
            training.checkpoint()?;
            return Ok(Ending::Terminated);
        }
        let ending = training.ending();
        let is_due = training.checkpoint_is_due();
        if ending.is_some() || is_due {
            training.checkpoint()?;
        }
        if let Some(ending) = ending {
            return Ok(ending);
        }
        // Writing took a while: better stop with this checkpoint than write the next one, too, within the time that is left.
        if is_due && training.is_told_to_stop()? {
            return Ok(Ending::Terminated);
        }
        if training.step()? == Progress::Stop {
            training.checkpoint()?;
            return Ok(Ending::Terminated);
        }
    }
}
