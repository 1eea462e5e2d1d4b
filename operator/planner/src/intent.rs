//! What is to be done next, in words that both executors understand.

use crate::observed::CheckpointReference;
use std::fmt;
use temper_crds::Stage as RegistryStage;

/// A stage of a job that processes run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Filter, tokenise, pack.
    Prepare,
    /// Train.
    Train,
    /// Write and check the model.
    Publish,
}

impl Stage {
    /// The name, as labels and `temper-trainer`'s commands have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Train => "train",
            Self::Publish => "publish",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why an attempt is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The job is suspended.
    Suspended,
    /// The deadline has passed.
    DeadlineExceeded,
    /// No step was finished for too long.
    NoProgress,
    /// Pods of it have not started, and those that have gave up waiting for them.
    PodsMissing,
}

/// One thing to be done. An `Ensure` that is carried out already needs nothing more, so intents may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// There is to be a `temper-trainer prepare`, the attempt with this number.
    EnsurePrepare {
        /// The try's number, from 0.
        attempt: u64,
    },
    /// There are to be training processes, those of this attempt.
    EnsureTrainers {
        /// The attempt's number, from 0.
        attempt: u64,
        /// Nodes (pods) in it.
        num_nodes: usize,
        /// Processes on each.
        num_proc_per_node: usize,
        /// The checkpoint to go on from, for people; the trainer finds the newest valid one itself.
        resume: Option<CheckpointReference>,
        /// In-place restarts that this attempt may make: `failure.maxRestarts` of its configuration.
        restarts_left: u64,
    },
    /// The attempt's processes are to be stopped: SIGTERM (trainers then write a checkpoint), SIGKILL after a grace period.
    Stop {
        /// Of this stage.
        stage: Stage,
        /// The attempt with this number.
        attempt: u64,
        /// Why; the executor remembers it as `Attempt::stop`.
        reason: StopReason,
    },
    /// There is to be a `temper-trainer publish`, the attempt with this number.
    EnsurePublish {
        /// The try's number, from 0.
        attempt: u64,
    },
    /// The published model is to be entered in the registry as the next version (as the same one, if it is there already).
    Register {
        /// The model's name.
        model_name: String,
        /// The stage it starts in.
        stage: RegistryStage,
        /// The published folder, as the report has it.
        path: String,
        /// Its digest.
        digest: String,
    },
    /// What the finished job still holds (pods, services) is to be deleted.
    FreeFinished,
}
