//! `status.attempts`: the ledger of a job's tries. What is in it is remembered when the pods and Jobs that it came from are gone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most entries of `status.attempts`; of more, the oldest are only counted.
pub const LISTED: usize = 32;
/// The longest `message` of an entry, in bytes.
pub const LONGEST_MESSAGE: usize = 1024;

/// One try at a stage.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptStatus {
    /// Which stage.
    pub stage: StageName,
    /// Its number among the stage's tries, from 0.
    #[schemars(range(min = 0))]
    pub number: u64,
    /// When it was started.
    pub started_at: Time,
    /// When it ended; none while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Why it was told to stop, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopCause>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<AttemptEnd>,
    /// The exit code of the process that ended it; 128 + n where signal n did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The pod that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
    /// The rank that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub rank: Option<u64>,
    /// What its process said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Restarts of its ranks in place.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub in_place_restarts: u64,
}

/// The stages that processes run for.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageName {
    /// Fetch, filter, tokenise, pack.
    Prepare,
    /// Train.
    Train,
    /// Write and check the model.
    Publish,
}

/// Why an attempt was told to stop.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCause {
    /// The job was suspended.
    Suspended,
    /// activeDeadlineSeconds had passed.
    DeadlineExceeded,
    /// No step was finished for failurePolicy.stallTimeoutSeconds.
    NoProgress,
    /// Some of its pods did not start while the others waited for them.
    PodsMissing,
}

/// How an attempt ended.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptEnd {
    /// Its stage is done.
    Succeeded,
    /// A process exited with `exitCode`.
    Exited,
    /// A process was ended for using more memory than it may.
    OutOfMemory,
    /// What ran it went away: preempted, evicted, drained, or the machine was lost. Not the job's doing.
    Interrupted,
}

/// Tries that are no longer listed one by one.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EarlierAttempts {
    /// Tries to prepare.
    #[schemars(range(min = 0))]
    pub prepare: u64,
    /// Attempts to train.
    #[schemars(range(min = 0))]
    pub train: u64,
    /// Tries to publish.
    #[schemars(range(min = 0))]
    pub publish: u64,
    /// Those of them that failed and count against failurePolicy.maxRestarts.
    #[schemars(range(min = 0))]
    pub failures: u64,
    /// Their restarts in place.
    #[schemars(range(min = 0))]
    pub in_place_restarts: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
