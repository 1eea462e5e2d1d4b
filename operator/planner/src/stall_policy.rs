//! `failurePolicy.stallTimeoutSeconds`: how long training may go without finishing a step.

use crate::backoff::later;
use crate::observed::TrainingAttempt;
use temper_crds::Timestamp;

/// The trainer's supervisor acts at the timeout itself, in place; the whole attempt is stopped only when that has not helped so much
/// later (seconds).
pub const GRACE_SECONDS: u64 = 60;

/// When a running attempt counts as stalled. `None` before its ranks have met: waiting for machines is no stall, and ranks that do not
/// find each other give up by themselves.
pub fn stalled_at(attempt: &TrainingAttempt, stall_timeout_seconds: u64) -> Option<Timestamp> {
    attempt.last_progress.map(|at| later(at, stall_timeout_seconds.saturating_add(GRACE_SECONDS)))
}

#[cfg(test)]
mod tests {
    use super::stalled_at;
    use crate::observed::{Attempt, TrainingAttempt};
    use temper_crds::Timestamp;

    #[test]
    fn only_an_attempt_that_once_made_progress_can_stall() {
        let start = Timestamp::from_second(0).expect("a time");
        let mut attempt = TrainingAttempt { attempt: Attempt::started(start), last_progress: None, in_place_restarts: 0 };
        assert_eq!(stalled_at(&attempt, 900), None);
        attempt.last_progress = Timestamp::from_second(40).ok();
        assert_eq!(stalled_at(&attempt, 900), Timestamp::from_second(1000).ok());
    }
}
