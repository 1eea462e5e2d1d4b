//! Names, help texts and kinds of the metrics that every rank serves on `/metrics` in Prometheus' text format.

/// One metric's name and help text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name, with its unit as Prometheus' conventions ask.
    pub name: &'static str,
    /// One sentence for a person.
    pub help: &'static str,
}

const fn metric(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help }
}

/// Gauge. This one and the other values of a step or an evaluation are NaN until there has been one.
pub const TRAINING_LOSS: Metric = metric("temper_training_loss", "Mean loss of a target token in the last optimizer step, in nats.");
/// Gauge.
pub const VALIDATION_LOSS: Metric =
    metric("temper_validation_loss", "Mean loss of a held-out target token in the last evaluation, in nats.");
/// Gauge.
pub const LEARNING_RATE: Metric = metric("temper_learning_rate", "Learning rate of the last optimizer step.");
/// Gauge.
pub const GRADIENT_NORM: Metric = metric("temper_gradient_norm", "Global norm of the last step's gradient, before clipping.");
/// Gauge.
pub const STEP: Metric = metric("temper_training_step", "Last optimizer step that is done.");
/// Gauge.
pub const TOTAL_STEPS: Metric = metric("temper_training_total_steps", "Optimizer steps that are planned.");
/// Gauge.
pub const EPOCH: Metric = metric("temper_training_epoch", "Passes over the data so far.");
/// Counter.
pub const TOKENS: Metric =
    metric("temper_training_tokens_total", "Tokens that this job's steps have seen, over all ranks, since this process started.");
/// Counter.
pub const TARGET_TOKENS: Metric = metric(
    "temper_training_target_tokens_total",
    "Target tokens that this job's steps have seen, over all ranks, since this process started.",
);
/// Gauge.
pub const TOKENS_PER_SECOND: Metric =
    metric("temper_training_tokens_per_second", "Tokens a second in the last optimizer step, over all ranks.");
/// Histogram.
pub const STEP_DURATION: Metric = metric("temper_training_step_duration_seconds", "Wall time of an optimizer step.");
/// Counter.
pub const SKIPPED_STEPS: Metric =
    metric("temper_training_skipped_steps_total", "Optimizer steps skipped because the gradient was not finite.");
/// Gauge.
pub const GPU_MEMORY: Metric = metric("temper_gpu_memory_bytes", "Device memory in use by this rank; 0 on CPU.");
/// Gauge.
pub const RESIDENT_MEMORY: Metric = metric("temper_resident_memory_bytes", "Resident memory of this rank's process.");
/// Gauge.
pub const CHECKPOINT_STEP: Metric = metric("temper_checkpoint_step", "Step of the newest durable checkpoint; 0 before the first.");
/// Gauge.
pub const CHECKPOINT_AGE: Metric = metric("temper_checkpoint_age_seconds", "Time since the newest durable checkpoint was written.");
/// Gauge.
pub const RESTARTS: Metric = metric("temper_training_restarts", "Restarts of the ranks in place, over all attempts of the job.");
/// Gauge.
pub const ATTEMPT: Metric = metric("temper_training_attempt", "Number of the attempt that this rank belongs to, from 0.");
/// Gauge. While it is 0 the ranks have not met, and what else is said of steps means nothing.
pub const STARTED: Metric = metric("temper_training_started_timestamp_seconds", "Unix time at which this rank's generation met; 0 before.");
/// Gauge.
pub const RESUMED_FROM_STEP: Metric =
    metric("temper_training_resumed_from_step", "Step that this rank's generation went on from; 0 without a checkpoint.");
/// Gauge.
pub const LAST_PROGRESS: Metric = metric(
    "temper_training_last_progress_timestamp_seconds",
    "Unix time at which this rank last finished a step, an evaluation's batch or a piece of a checkpoint, or met the others; 0 before.",
);
/// Gauge.
pub const CHECKPOINT_ATTEMPT: Metric =
    metric("temper_checkpoint_attempt", "Number of the attempt that wrote the newest durable checkpoint.");

/// Every metric, for documentation and tests.
pub const ALL: [Metric; 22] = [
    TRAINING_LOSS,
    VALIDATION_LOSS,
    LEARNING_RATE,
    GRADIENT_NORM,
    STEP,
    TOTAL_STEPS,
    EPOCH,
    TOKENS,
    TARGET_TOKENS,
    TOKENS_PER_SECOND,
    STEP_DURATION,
    SKIPPED_STEPS,
    GPU_MEMORY,
    RESIDENT_MEMORY,
    CHECKPOINT_STEP,
    CHECKPOINT_AGE,
    RESTARTS,
    ATTEMPT,
    RESUMED_FROM_STEP,
    STARTED,
    LAST_PROGRESS,
    CHECKPOINT_ATTEMPT,
];
