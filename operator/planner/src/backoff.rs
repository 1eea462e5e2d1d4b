//! How long to wait before the next attempt.

use temper_crds::Timestamp;

/// The first wait after a failure, in seconds; it doubles with each further one.
pub const FIRST_SECONDS: u64 = 2;
/// The longest wait, in seconds.
pub const LONGEST_SECONDS: u64 = 300;
/// The wait after an end that is not the job's doing, in seconds: long enough that a machine which keeps going away costs no processor.
pub const UNCOUNTED_SECONDS: u64 = 1;

/// Seconds to wait after so many counted failures (2, 4, 8, ... up to 300); after none, those after an uncounted end.
pub fn seconds(counted_failures: u64) -> u64 {
    match counted_failures {
        0 => UNCOUNTED_SECONDS,
        // Past eight doublings the wait is the longest, and shifting on would overflow.
        failures => (FIRST_SECONDS << (failures - 1).min(8)).min(LONGEST_SECONDS),
    }
}

/// When the next attempt may start. An end that seems to lie in the future (a clock was set back) counts as just now.
pub fn until(ended_at: Timestamp, counted_failures: u64, now: Timestamp) -> Timestamp {
    later(ended_at.min(now), seconds(counted_failures))
}

/// A time so many seconds later; the end of time where that does not exist.
pub(crate) fn later(from: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    from.as_second().checked_add(seconds).and_then(|second| Timestamp::new(second, from.subsec_nanosecond()).ok()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::{later, seconds, until};
    use temper_crds::Timestamp;

    #[test]
    fn waits_double_up_to_a_limit() {
        let waits: Vec<u64> = [0, 1, 2, 3, 8, 9, 62, 63, 64, 65, 66, 1000, u64::MAX].map(seconds).to_vec();
        assert_eq!(waits, [1, 2, 4, 8, 256, 300, 300, 300, 300, 300, 300, 300, 300]);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_make_anyone_wait_for_days() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(until(later(now, 86_400), 1, now), later(now, 2));
        assert_eq!(later(Timestamp::MAX, 1), Timestamp::MAX);
    }
}
