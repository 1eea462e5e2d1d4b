//! Condition types and reasons: what `kubectl describe` shows and `kubectl wait --for=condition=Complete` waits for.
//!
//! `Ready`, `Reconciling` and `Stalled` have the meanings that kstatus gives them, so Argo CD, Flux and `kubectl wait` understand every
//! Temper resource. There is no `phase`: the reason of `Ready` is the one-word state that `kubectl get` prints.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told yet.
    Unknown,
}

/// One aspect of the resource's state, when it last changed, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect: Ready, Reconciling, Stalled, DataReady, Running, Suspended, Complete, Failed or ModelRegistered.
    #[serde(rename = "type")]
    #[schemars(length(max = 64))]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// The generation of the resource that this was decided for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// Why, in one CamelCase word for programs.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, in a sentence for people, with what to do next where something is to be done.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// The model is trained, published and (where asked for) registered. Its reason is the state that `kubectl get` prints.
pub const READY: &str = "Ready";
/// Work is going on towards what the spec asks for.
pub const RECONCILING: &str = "Reconciling";
/// Nothing more will happen until someone changes something.
pub const STALLED: &str = "Stalled";
/// The dataset is filtered, tokenised and cached.
pub const DATA_READY: &str = "DataReady";
/// Training processes are running.
pub const RUNNING: &str = "Running";
/// The job is suspended: it holds no accelerator and continues from its checkpoint when resumed.
pub const SUSPENDED: &str = "Suspended";
/// The job is done; it never changes again.
pub const COMPLETE: &str = "Complete";
/// The job failed for good; it never changes again.
pub const FAILED: &str = "Failed";
/// The model is in the registry.
pub const MODEL_REGISTERED: &str = "ModelRegistered";

/// Reasons, shared by all the conditions: one word means one thing.
pub mod reason {
    /// Nothing is started yet.
    pub const PENDING: &str = "Pending";
    /// The dataset is being filtered and tokenised.
    pub const PREPARING: &str = "Preparing";
    /// The dataset is cached.
    pub const PREPARED: &str = "Prepared";
    /// Training processes are being started or are running.
    pub const TRAINING: &str = "Training";
    /// Training reached its last step, or stopped early because the validation loss no longer fell.
    pub const TRAINED: &str = "Trained";
    /// The model is being written and checked.
    pub const PUBLISHING: &str = "Publishing";
    /// The model is being entered in the registry.
    pub const REGISTERING: &str = "Registering";
    /// The model is in the registry.
    pub const REGISTERED: &str = "Registered";
    /// The spec asks for no registration.
    pub const NOT_REQUESTED: &str = "NotRequested";
    /// Everything is done.
    pub const COMPLETE: &str = "Complete";
    /// A failure is waited out before the next attempt.
    pub const BACKING_OFF: &str = "BackingOff";
    /// Processes were asked to stop and are writing a checkpoint.
    pub const STOPPING: &str = "Stopping";
    /// `spec.suspend` is true.
    pub const SUSPENDED: &str = "Suspended";
    /// Processes are not running at this moment.
    pub const NOT_RUNNING: &str = "NotRunning";
    /// Nothing is wrong.
    pub const NO_FAILURE: &str = "NoFailure";

    /// The spec, the model or the data is wrong; trying again cannot help.
    pub const INVALID_INPUT: &str = "InvalidInput";
    /// Gradients were not finite too many times in a row.
    pub const DIVERGED: &str = "Diverged";
    /// `failurePolicy.maxRestarts` is used up.
    pub const RESTARTS_EXHAUSTED: &str = "RestartsExhausted";
    /// `activeDeadlineSeconds` has passed.
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    /// The trainer refused its arguments: operator and trainer are of different versions.
    pub const VERSION_SKEW: &str = "VersionSkew";
    /// The registry refused the model version.
    pub const REGISTRATION_FAILED: &str = "RegistrationFailed";

    /// No optimizer step was finished for `failurePolicy.stallTimeoutSeconds`.
    pub const NO_PROGRESS: &str = "NoProgress";
    /// Something that the spec names is not there: a Secret, a file on a volume, a bucket, a server. It is tried again.
    pub const UNAVAILABLE: &str = "Unavailable";
    /// The spec is refused before anything is started; the message lists every problem.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// A PersistentVolumeClaim that the spec names is not there or not bound.
    pub const VOLUME_UNAVAILABLE: &str = "VolumeUnavailable";
    /// An image cannot be pulled or started.
    pub const IMAGE_UNAVAILABLE: &str = "ImageUnavailable";
    /// A quota or an admission rule of the cluster keeps the pods away.
    pub const PODS_REFUSED: &str = "PodsRefused";
    /// No machine has room for the pods at the moment.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// A queue (Kueue) has not admitted the job yet.
    pub const QUEUED: &str = "Queued";
    /// The API server refuses what the operator asks of it; usually a right is missing.
    pub const FORBIDDEN: &str = "Forbidden";
    /// Training is estimated to take more memory than the job may use.
    pub const INSUFFICIENT_MEMORY: &str = "InsufficientMemory";
    /// A process was ended by the kernel or Kubernetes for using more memory than it may.
    pub const OUT_OF_MEMORY: &str = "OutOfMemory";
    /// A process was ended by a signal.
    pub const SIGNALLED: &str = "Signalled";
    /// The disk is full or cannot be written.
    pub const STORAGE: &str = "Storage";
    /// A rank died, hung or lost its peers.
    pub const PEER_LOST: &str = "PeerLost";
    /// The ranks did not find each other in time.
    pub const RENDEZVOUS: &str = "Rendezvous";
    /// The process ended in a way that nobody foresaw.
    pub const UNEXPECTED: &str = "Unexpected";
    /// The process was asked to end and wrote a checkpoint.
    pub const TERMINATED: &str = "Terminated";
    /// The machine or whatever ran the process went away.
    pub const INTERRUPTED: &str = "Interrupted";
}
