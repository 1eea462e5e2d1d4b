//! What an executor saw: facts about each stage, without judgement.

use crate::end::End;
use crate::intent::StopReason;
use temper_contract::report::{PrepareReport, PublishReport, TrainReport};
use temper_crds::{FineTuneJobStatus, Timestamp};

/// Everything that `plan` may know about a job besides its spec.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// When the job became active: when it was created or last resumed. (The local executor: when this run of `temper` began.)
    /// `None` until the executor has noted one; the deadline counts from it.
    pub active_since: Option<Timestamp>,
    /// When a person last asked for another try of a job that had failed (the local executor: when `temper run` began on it). Failures
    /// from before do not count.
    pub retried_at: Option<Timestamp>,
    /// Tries to prepare, in order.
    pub prepare: Vec<Attempt<PrepareReport>>,
    /// Attempts to train, in order.
    pub training: Vec<TrainingAttempt>,
    /// Tries to publish, in order.
    pub publish: Vec<Attempt<PublishReport>>,
    /// What became of the registration, where one is asked for.
    pub registration: Registration,
    /// The newest durable checkpoint of any attempt.
    pub checkpoint: Option<CheckpointReference>,
    /// What the trainer last reported.
    pub progress: Option<Progress>,
    /// The memory of one accelerator of the kind asked for, in bytes, where machines tell it.
    pub device_memory: Option<u64>,
    /// What keeps the attempt that is to run from running, if anything does.
    pub obstacle: Option<Obstacle>,
    /// Whether pods of the attempt that trains have not started, and those that have gave up waiting for them.
    pub pods_missing: bool,
    /// Whether what the finished job held (pods, services; locally: nothing) is freed.
    pub freed: bool,
    /// The status as it was last written: transition times and `finished` come from it.
    pub status: FineTuneJobStatus,
}

/// What keeps processes from being started: a claim that is not bound, an image that is not there, no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// In one word; one of `temper_crds::condition::reason`.
    pub reason: &'static str,
    /// In a sentence, with what to do next.
    pub message: String,
    /// Whether somebody must do something (a claim is missing), or time may help (no machine has room yet).
    pub needs_a_person: bool,
}

/// One try at a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt<Report> {
    /// When it was started.
    pub started_at: Timestamp,
    /// What has become of it.
    pub state: State<Report>,
    /// Why the executor was told to stop it, if it was (it remembers the first `Intent::Stop` for this attempt).
    pub stop: Option<StopReason>,
}

/// What has become of a try.
#[derive(Clone, Debug, PartialEq)]
pub enum State<Report> {
    /// Its process runs (or its pods are being started).
    Running,
    /// It left its report.
    Succeeded {
        /// The report.
        report: Report,
        /// When.
        at: Timestamp,
    },
    /// It ended without.
    Failed {
        /// How.
        end: End,
        /// When.
        at: Timestamp,
    },
}

/// One attempt to train: all nodes' processes together.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingAttempt {
    /// The try. Its place in `Observed::training` is the attempt's number.
    pub attempt: Attempt<TrainReport>,
    /// When a step was last finished (or its ranks last met); `None` before the first.
    pub last_progress: Option<Timestamp>,
    /// In-place restarts so far.
    pub in_place_restarts: u64,
}

impl<Report> Attempt<Report> {
    /// A try that was just started.
    pub fn started(at: Timestamp) -> Self {
        Self { started_at: at, state: State::Running, stop: None }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running)
    }

    /// Its report, if it succeeded.
    pub fn report(&self) -> Option<&Report> {
        match &self.state {
            State::Succeeded { report, .. } => Some(report),
            _ => None,
        }
    }
}

/// What became of the registration.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Registration {
    /// Not done yet.
    #[default]
    Pending,
    /// Done.
    Registered {
        /// The ModelVersion's name.
        name: String,
        /// The version's number.
        version: u64,
        /// Where the registered model is.
        uri: String,
    },
    /// The registry refused it.
    Refused {
        /// Why, and what to do next.
        message: String,
    },
}

/// A durable checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointReference {
    /// The attempt that wrote it.
    pub attempt: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// Its folder, as a URI or a path.
    pub uri: String,
}

/// What the trainer last reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned.
    pub total_steps: u64,
    /// The step that this attempt went on from.
    pub resumed_from_step: u64,
    /// When this attempt's ranks met.
    pub started_at: Timestamp,
    /// When this was reported.
    pub updated_at: Timestamp,
    /// Passes over the data.
    pub epoch: f64,
    /// Loss of the last step.
    pub training_loss: Option<f64>,
    /// Loss of the last evaluation.
    pub validation_loss: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: Option<f64>,
    /// Global norm of the last gradient.
    pub gradient_norm: Option<f64>,
    /// Tokens a second over all ranks.
    pub tokens_per_second: Option<f64>,
    /// GPU memory of one rank, in bytes.
    pub gpu_memory_bytes: Option<u64>,
}

impl Progress {
    /// What is known when an attempt's ranks have met.
    pub fn started(at: Timestamp, total_steps: u64) -> Self {
        Self {
            step: 0,
            total_steps,
            resumed_from_step: 0,
            started_at: at,
            updated_at: at,
            epoch: 0.0,
            training_loss: None,
            validation_loss: None,
            learning_rate: None,
            gradient_norm: None,
            tokens_per_second: None,
            gpu_memory_bytes: None,
        }
    }
}
