//! `ttlSecondsAfterFinished`: when what a finished job still holds is freed.

use crate::backoff::later;
use temper_crds::Timestamp;

/// What to do about it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, now or later.
    Keep,
    /// Free it.
    Free,
    /// Look again then.
    WaitUntil(Timestamp),
}

/// Decides for a job that finished at a time.
pub fn decide(finished_at: Timestamp, ttl_seconds: Option<u64>, freed: bool, now: Timestamp) -> Decision {
    match ttl_seconds {
        None => Decision::Keep,
        Some(_) if freed => Decision::Keep,
        Some(seconds) => {
            let due = later(finished_at, seconds);
            if due <= now { Decision::Free } else { Decision::WaitUntil(due) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, decide};
    use temper_crds::Timestamp;

    #[test]
    fn what_is_held_is_freed_once_and_on_time() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        assert_eq!(decide(at(0), None, false, at(1000)), Decision::Keep);
        assert_eq!(decide(at(0), Some(600), false, at(599)), Decision::WaitUntil(at(600)));
        assert_eq!(decide(at(0), Some(600), false, at(600)), Decision::Free);
        assert_eq!(decide(at(0), Some(0), false, at(0)), Decision::Free);
        assert_eq!(decide(at(0), Some(600), true, at(900)), Decision::Keep);
    }
}
