//! How far training is, and how long the rest will take.

use crate::observed::Progress;
use temper_crds::finetunejob::status::{TrainerMetrics, TrainerStatus};
use temper_crds::{Decimal, Time};

/// Steps done, in percent of those planned; 100 only when all are done.
pub fn percentage(step: u64, total_steps: u64) -> u32 {
    if total_steps == 0 {
        return 0;
    }
    let percent = u128::from(step.min(total_steps)) * 100 / u128::from(total_steps);
    u32::try_from(percent).unwrap_or(100)
}

/// Estimated seconds from the last report until the last step: the steps left at the mean pace of this attempt. `None` before the
/// attempt's first step. It depends on what was reported alone, so that looking again does not change the status.
pub fn remaining_seconds(progress: &Progress) -> Option<u64> {
    let done = progress.step.checked_sub(progress.resumed_from_step).filter(|done| *done > 0)?;
    let elapsed = progress.updated_at.duration_since(progress.started_at).as_secs_f64().max(0.0);
    let left = progress.total_steps.saturating_sub(progress.step) as f64 * elapsed / done as f64;
    Some(left.ceil() as u64)
}

/// A duration for people in its two largest units: `45s`, `12m30s`, `3h5m`, `2d4h`.
pub fn for_people(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The status of a training job. While it is not running there is no estimate.
pub fn trainer_status(progress: &Progress, running: bool) -> TrainerStatus {
    let remaining = remaining_seconds(progress).filter(|_| running);
    TrainerStatus {
        step: progress.step,
        total_steps: progress.total_steps,
        epoch: Decimal::rounded(progress.epoch),
        progress_percentage: percentage(progress.step, progress.total_steps),
        estimated_remaining_seconds: remaining,
        estimated_remaining: remaining.map(for_people),
        metrics: TrainerMetrics {
            training_loss: progress.training_loss.and_then(Decimal::rounded),
            validation_loss: progress.validation_loss.and_then(Decimal::rounded),
            learning_rate: progress.learning_rate.and_then(Decimal::rounded),
            gradient_norm: progress.gradient_norm.and_then(Decimal::rounded),
            tokens_per_second: progress.tokens_per_second.and_then(Decimal::rounded),
            gpu_memory_bytes: progress.gpu_memory_bytes,
        },
        last_updated_time: Some(Time(progress.updated_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::{for_people, percentage, remaining_seconds};
    use crate::observed::Progress;
    use temper_crds::Timestamp;

    #[test]
    fn percentages_stay_within_bounds() {
        for (step, total, percent) in
            [(0, 0, 0), (5, 0, 0), (0, 60, 0), (59, 60, 98), (60, 60, 100), (61, 60, 100), (u64::MAX - 1, u64::MAX, 99)]
        {
            assert_eq!(percentage(step, total), percent, "{step} of {total}");
        }
    }

    #[test]
    fn the_estimate_uses_this_attempts_pace() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut progress = Progress {
            step: 30,
            total_steps: 60,
            resumed_from_step: 20,
            started_at: at(100),
            updated_at: at(120),
            ..Progress::started(at(0), 0)
        };
        assert_eq!(remaining_seconds(&progress), Some(60));
        progress.step = 60;
        assert_eq!(remaining_seconds(&progress), Some(0));
        progress.step = 20;
        assert_eq!(remaining_seconds(&progress), None);
    }

    #[test]
    fn durations_are_short() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m0s"), (3661, "1h1m"), (90_000, "1d1h")] {
            assert_eq!(for_people(seconds), text);
        }
    }
}
