//! Labels, annotations and finalizers that Temper writes or reads.

/// On every object made for a job: the job's name.
pub const JOB_NAME: &str = "temper.dev/job-name";
/// Annotation on every object made for a job: the job's UID. What has lost its owner reference is known again by it, and what an earlier job
/// of the same name left behind is not taken for its own.
pub const JOB_UID: &str = "temper.dev/job-uid";
/// On every object made for a job: `prepare`, `train` or `publish`.
pub const STAGE: &str = "temper.dev/stage";
/// On every object made for a training attempt: its number, from 0.
pub const ATTEMPT: &str = "temper.dev/attempt";
/// On a ModelVersion: the name of the model it is a version of.
pub const MODEL_NAME: &str = "temper.dev/model-name";
/// On a ModelVersion: its version number.
pub const MODEL_VERSION: &str = "temper.dev/model-version";
/// Annotation on what a job made: the digest of the spec it was made from.
pub const SPEC_DIGEST: &str = "temper.dev/spec-digest";
/// Annotation on what is applied for a job: the digest of all but its metadata, so that a cache of metadata alone tells whether it is current.
pub const CONTENT_DIGEST: &str = "temper.dev/content-digest";
/// Annotation on a ModelVersion whose stage someone moved: who it was.
pub const STAGE_CHANGED_BY: &str = "temper.dev/stage-changed-by";
/// Prefix of the labels and annotations by which Kueue knows its jobs.
pub const KUEUE_PREFIX: &str = "kueue.x-k8s.io/";
/// Kueue's label with the queue that a job waits in.
pub const KUEUE_QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";
/// Kubernetes' own label for the program that manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of `MANAGED_BY` on Temper's objects.
pub const MANAGER: &str = "temper";
