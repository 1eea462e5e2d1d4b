//! What the executor remembers of a run between its own lives: one file, written aside and renamed.
//!
//! Whether a stage is done is not in it: the stage's report says so.

use serde::{Deserialize, Serialize};
use temper_contract::TerminationMessage;
use temper_crds::{FineTuneJobStatus, Timestamp};
use temper_planner::{Cause, End, Stage, StopReason};

/// What is remembered of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunState {
    /// Tries to prepare.
    pub prepare: Vec<Record>,
    /// Attempts to train.
    pub train: Vec<Record>,
    /// Tries to publish.
    pub publish: Vec<Record>,
    /// When `temper run` was last started on the run after it had failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retried_at: Option<Timestamp>,
    /// When `temper run --fresh` last started the run over: copies of its checkpoints lie apart from those of before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_over_at: Option<Timestamp>,
    /// The registry's version, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registered>,
    /// The status as last decided.
    pub status: FineTuneJobStatus,
}

/// One try at a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When it was started.
    pub started_at: Timestamp,
    /// Restarts in place of all attempts before it.
    #[serde(default)]
    pub restarts_before: u64,
    /// Why it was told to stop, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<RecordedStop>,
    /// How it ended; absent while it runs, or where this executor did not live to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<RecordedEnd>,
}

/// Why a try was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordedStop {
    /// The job is suspended.
    Suspended,
    /// The deadline has passed.
    DeadlineExceeded,
    /// No step was finished for too long.
    NoProgress,
    /// Some of its pods did not start.
    PodsMissing,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedEnd {
    /// When.
    pub at: Timestamp,
    /// The exit code, or 128 + the signal.
    pub code: i32,
    /// Whether a signal ended it.
    pub signalled: bool,
    /// Its last words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<TerminationMessage>,
}

/// A version in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The model's name.
    pub model_name: String,
    /// The ModelVersion's name.
    pub name: String,
    /// Its number.
    pub version: u32,
    /// The registered folder.
    pub model: std::path::PathBuf,
    /// The version's manifest.
    pub manifest: std::path::PathBuf,
}

impl RunState {
    /// The tries at a stage.
    pub fn records(&self, stage: Stage) -> &Vec<Record> {
        match stage {
            Stage::Prepare => &self.prepare,
            Stage::Train => &self.train,
            Stage::Publish => &self.publish,
        }
    }

    /// The tries at a stage.
    pub fn records_mut(&mut self, stage: Stage) -> &mut Vec<Record> {
        match stage {
            Stage::Prepare => &mut self.prepare,
            Stage::Train => &mut self.train,
            Stage::Publish => &mut self.publish,
        }
    }

    /// Seconds that processes of a stage ran, as far as their ends were seen.
    pub fn seconds(&self, stage: Stage) -> f64 {
        let spans = self.records(stage).iter().filter_map(|record| Some(record.ended.as_ref()?.at.duration_since(record.started_at)));
        spans.map(|span| span.as_secs_f64().max(0.0)).sum()
    }
}

impl RecordedEnd {
    /// The end in the planner's words.
    pub fn end(&self) -> End {
        let cause = if self.signalled { Cause::Signalled(self.code - 128) } else { Cause::Exited(self.code) };
        End { cause, message: self.message.clone(), pod: None }
    }
}

impl From<StopReason> for RecordedStop {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Suspended => Self::Suspended,
            StopReason::DeadlineExceeded => Self::DeadlineExceeded,
            StopReason::NoProgress => Self::NoProgress,
            StopReason::PodsMissing => Self::PodsMissing,
        }
    }
}

impl From<RecordedStop> for StopReason {
    fn from(recorded: RecordedStop) -> Self {
        match recorded {
            RecordedStop::Suspended => Self::Suspended,
            RecordedStop::DeadlineExceeded => Self::DeadlineExceeded,
            RecordedStop::NoProgress => Self::NoProgress,
            RecordedStop::PodsMissing => Self::PodsMissing,
        }
    }
}
