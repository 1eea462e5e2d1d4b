//! What a training job does: the metrics that trainers export.

use super::grafana::{Dashboard, Panel, Row, Variable};
use temper_contract::metric::{
    ATTEMPT, CHECKPOINT_AGE, CHECKPOINT_ATTEMPT, CHECKPOINT_STEP, EPOCH, GPU_MEMORY, GRADIENT_NORM, LAST_PROGRESS, LEARNING_RATE, Metric,
    RESIDENT_MEMORY, RESTARTS, RESUMED_FROM_STEP, SKIPPED_STEPS, STARTED, STEP, STEP_DURATION, TARGET_TOKENS, TOKENS, TOKENS_PER_SECOND,
    TOTAL_STEPS, TRAINING_LOSS, VALIDATION_LOSS,
};

/// The chosen jobs; rank 0 speaks for a job.
const JOB: &str = r#"namespace=~"$namespace", job_name=~"$job_name", rank="0""#;
/// The chosen jobs' ranks.
const RANKS: &str = r#"namespace=~"$namespace", job_name=~"$job_name""#;
const JOB_LEGEND: &str = "{{namespace}}/{{job_name}}";
const RANK_LEGEND: &str = "{{job_name}} rank {{rank}}";

fn of_job(metric: Metric) -> String {
    format!("{}{{{JOB}}}", metric.name)
}

fn of_ranks(metric: Metric) -> String {
    format!("{}{{{RANKS}}}", metric.name)
}

fn curve(title: &'static str, unit: &'static str, description: &'static str, query: String) -> Panel {
    Panel::curves(title, unit, description, vec![(query, JOB_LEGEND)])
}

pub(super) fn dashboard() -> Dashboard {
    let step_duration = |quantile: &str| {
        format!(
            "histogram_quantile({quantile}, sum by (le, namespace, job_name) (rate({}_bucket{{{RANKS}}}[$__rate_interval])))",
            STEP_DURATION.name
        )
    };
    let remaining = format!("({} - {}) / deriv({}[15m])", of_job(TOTAL_STEPS), of_job(STEP), of_job(STEP));
    Dashboard {
        name: "temper-training",
        title: "Temper / Training",
        variables: vec![
            Variable { name: "namespace", label: "Namespace", query: format!("label_values({}, namespace)", STEP.name) },
            Variable {
                name: "job_name",
                label: "Job",
                query: format!("label_values({}{{namespace=~\"$namespace\"}}, job_name)", STEP.name),
            },
        ],
        rows: vec![
            Row {
                title: "Progress",
                height: 5,
                panels: vec![
                    Panel::stat(
                        "Progress",
                        "percentunit",
                        "Steps done of those planned.",
                        format!("{} / {}", of_job(STEP), of_job(TOTAL_STEPS)),
                    ),
                    Panel::stat("Remaining", "s", "At the speed of the last 15 minutes.", remaining),
                    Panel::stat("Epoch", "short", "Passes over the data so far.", of_job(EPOCH)),
                    Panel::stat("Attempt", "short", "Number of the attempt, from 0.", of_job(ATTEMPT)),
                    Panel::stat("Restarts in place", "short", "Over all attempts.", of_job(RESTARTS)),
                    Panel::stat(
                        "Since the last progress",
                        "s",
                        "Time since a step, an evaluation or a checkpoint was finished.",
                        format!("time() - ({} > 0)", of_job(LAST_PROGRESS)),
                    ),
                    Panel::stat(
                        "Since the ranks met",
                        "s",
                        "Time since training began or went on.",
                        format!("time() - ({} > 0)", of_job(STARTED)),
                    ),
                ],
            },
            Row {
                title: "Learning",
                height: 8,
                panels: vec![
                    Panel::curves(
                        "Loss",
                        "short",
                        "Mean loss of a target token, in nats.",
                        vec![(of_job(TRAINING_LOSS), "{{job_name}} training"), (of_job(VALIDATION_LOSS), "{{job_name}} validation")],
                    ),
                    curve("Learning rate", "sci", "Of the last step.", of_job(LEARNING_RATE)),
                    curve("Gradient norm", "short", "Global norm before clipping.", of_job(GRADIENT_NORM)).logarithmic(),
                    curve(
                        "Skipped steps",
                        "short",
                        "Steps whose gradient was not finite.",
                        format!("increase({}[$__rate_interval])", of_job(SKIPPED_STEPS)),
                    ),
                ],
            },
            Row {
                title: "Speed",
                height: 8,
                panels: vec![
                    curve("Steps", "short", "Optimizer steps done.", of_job(STEP)),
                    curve("Tokens a second", "short", "In the last step, over all ranks.", of_job(TOKENS_PER_SECOND)),
                    Panel::curves(
                        "Tokens",
                        "short",
                        "Tokens a second over a while, pauses for evaluation and checkpoints included; targets are those that the loss counts.",
                        vec![
                            (format!("rate({}[$__rate_interval])", of_job(TOKENS)), "{{job_name}} all"),
                            (format!("rate({}[$__rate_interval])", of_job(TARGET_TOKENS)), "{{job_name}} targets"),
                        ],
                    ),
                    Panel::curves(
                        "Step duration",
                        "s",
                        "Median and 95th percentile over the ranks.",
                        vec![(step_duration("0.5"), "{{job_name}} p50"), (step_duration("0.95"), "{{job_name}} p95")],
                    ),
                ],
            },
            Row {
                title: "Memory",
                height: 8,
                panels: vec![
                    Panel::curves(
                        "GPU memory",
                        "bytes",
                        "In use by each rank.",
                        vec![(format!("{} > 0", of_ranks(GPU_MEMORY)), RANK_LEGEND)],
                    ),
                    Panel::curves("Resident memory", "bytes", "Of each rank's process.", vec![(of_ranks(RESIDENT_MEMORY), RANK_LEGEND)]),
                ],
            },
            Row {
                title: "Checkpoints",
                height: 8,
                panels: vec![
                    Panel::curves(
                        "Checkpoints",
                        "short",
                        "Step of the newest durable checkpoint, and the one that the ranks went on from.",
                        vec![(of_job(CHECKPOINT_STEP), "{{job_name}} newest"), (of_job(RESUMED_FROM_STEP), "{{job_name}} resumed from")],
                    ),
                    curve(
                        "Age",
                        "s",
                        "Age of the newest checkpoint: what a failure now would lose, and the time before training went on. Zero: there is none yet.",
                        of_job(CHECKPOINT_AGE),
                    ),
                    curve("Written by attempt", "short", "Attempt that wrote the newest one.", of_job(CHECKPOINT_ATTEMPT)),
                ],
            },
        ],
    }
}
