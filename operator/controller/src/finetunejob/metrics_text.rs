//! What a rank's metrics say, read from Prometheus' text format.

use k8s_openapi::jiff::Timestamp;
use temper_contract::metric;

/// What rank 0 says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned.
    pub total_steps: u64,
    /// The step that the attempt went on from.
    pub resumed_from_step: Option<u64>,
    /// When its ranks met.
    pub started_at: Option<Timestamp>,
    /// Passes over the data.
    pub epoch: f64,
    /// Loss of the last step.
    pub training_loss: Option<f64>,
    /// Loss of the last evaluation.
    pub validation_loss: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: Option<f64>,
    /// Norm of the last gradient.
    pub gradient_norm: Option<f64>,
    /// Tokens a second over all ranks.
    pub tokens_per_second: Option<f64>,
    /// GPU memory of the rank; none on a CPU.
    pub gpu_memory_bytes: Option<u64>,
    /// Restarts in place, over all attempts.
    pub in_place_restarts: u64,
    /// Step of the newest durable checkpoint; none before the first.
    pub checkpoint_step: Option<u64>,
    /// The attempt that wrote it.
    pub checkpoint_attempt: Option<u64>,
    /// When it last got on, by its own clock: to be compared with what it said before, and with no other clock. An evaluation or a last
    /// copy moves it, too.
    pub got_on_at: Option<f64>,
}

/// Reads a rank's metrics; `None` where the text is not a trainer's, or training has not begun.
pub fn read(text: &str) -> Option<Said> {
    let number = |name: &str| value(text, name);
    let count = |name: &str| number(name).filter(|value| (0.0..9e15).contains(value)).map(|value| value as u64);
    let total_steps = count(metric::TOTAL_STEPS.name).filter(|total| *total > 0)?;
    let step = count(metric::STEP.name)?;
    // Until its ranks have met, an attempt's step says nothing.
    if number(metric::STARTED.name) == Some(0.0) {
        return None;
    }
    // What was not measured yet is no number.
    let measured = |name: &str| number(name).filter(|value| step > 0 && value.is_finite());
    Some(Said {
        step,
        total_steps,
        resumed_from_step: count(metric::RESUMED_FROM_STEP.name),
        started_at: number(metric::STARTED.name)
            .filter(|seconds| *seconds > 0.0 && *seconds < 4e9)
            .and_then(|seconds| Timestamp::from_second(seconds as i64).ok()),
        epoch: number(metric::EPOCH.name).unwrap_or_default(),
        training_loss: measured(metric::TRAINING_LOSS.name),
        validation_loss: measured(metric::VALIDATION_LOSS.name).filter(|loss| *loss != 0.0),
        learning_rate: measured(metric::LEARNING_RATE.name),
        gradient_norm: measured(metric::GRADIENT_NORM.name),
        tokens_per_second: measured(metric::TOKENS_PER_SECOND.name).filter(|rate| *rate > 0.0),
        gpu_memory_bytes: count(metric::GPU_MEMORY.name).filter(|bytes| *bytes > 0),
        in_place_restarts: count(metric::RESTARTS.name).unwrap_or_default(),
        checkpoint_step: count(metric::CHECKPOINT_STEP.name).filter(|step| *step > 0),
        checkpoint_attempt: count(metric::CHECKPOINT_ATTEMPT.name),
        got_on_at: number(metric::LAST_PROGRESS.name),
    })
}

/// The value of the first sample with this name, whatever its labels.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.as_bytes().first()? {
            b' ' => rest,
            // Label values may hold spaces and braces; the last brace ends the labels.
            b'{' => &rest[rest.rfind('}')? + 1..],
            _ => return None,
        };
        value.split_ascii_whitespace().next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::{Said, read, value};

    const TEXT: &str = r#"# HELP temper_training_loss Mean loss
# TYPE temper_training_loss gauge
temper_training_loss{job_name="a } b",rank="0"} 1.5
temper_training_loss_other 7
temper_training_step{rank="0"} 3
temper_training_total_steps{rank="0"} 60
temper_validation_loss{rank="0"} 0
temper_gpu_memory_bytes{rank="0"} 0
temper_training_restarts{rank="0"} 2
temper_checkpoint_step{rank="0"} 2
temper_gradient_norm{rank="0"} NaN
temper_training_last_progress_timestamp_seconds{rank="0"} 1700000000.5
"#;

    #[test]
    fn what_was_measured_is_read_and_what_was_not_is_absent() {
        let said = read(TEXT).expect("a trainer's");
        assert_eq!((said.step, said.total_steps, said.training_loss, said.validation_loss), (3, 60, Some(1.5), None));
        assert_eq!((said.gpu_memory_bytes, said.in_place_restarts, said.checkpoint_step), (None, 2, Some(2)));
        assert_eq!((said.gradient_norm, said.got_on_at), (None, Some(1_700_000_000.5)));
        let on_a_gpu = read(&TEXT.replace("temper_gpu_memory_bytes{rank=\"0\"} 0", "temper_gpu_memory_bytes{rank=\"0\"} 2e9"));
        assert_eq!(on_a_gpu.and_then(|said| said.gpu_memory_bytes), Some(2_000_000_000));
    }

    #[test]
    fn nothing_is_read_before_training_begins_or_from_others() {
        assert_eq!(read(""), None);
        assert_eq!(read("temper_training_step 0\ntemper_training_total_steps 0\n"), None);
        let first = read("temper_training_step 0\ntemper_training_total_steps 10\ntemper_training_loss 0\n").expect("begun");
        assert_eq!(first, Said { total_steps: 10, ..Said::default() });
        assert_eq!(read("temper_training_step 4\ntemper_training_total_steps 10\ntemper_training_started_timestamp_seconds 0\n"), None);
        assert_eq!(value("temper_x_total 1\ntemper_x 2\n", "temper_x"), Some(2.0));
    }
}
