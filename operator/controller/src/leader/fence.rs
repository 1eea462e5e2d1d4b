//! Whether this process may write at the moment.

use crate::clock::Moment;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shut for good.
const SHUT: u64 = 0;
/// Not opened yet.
const UNOPENED: u64 = 1;
/// Without leader election there is no end.
const ALWAYS: u64 = u64::MAX;

/// The moment until which this process may write. The elector moves it; the client asks it before each write.
#[derive(Debug)]
pub struct Fence(AtomicU64);

impl Fence {
    /// A fence that stays shut until it is extended.
    pub const fn unopened() -> Self {
        Self(AtomicU64::new(UNOPENED))
    }

    /// A fence that is open until it is shut, for an operator without leader election.
    pub const fn always_open() -> Self {
        Self(AtomicU64::new(ALWAYS))
    }

    /// Open until `until` at least, unless it was shut for good.
    pub fn extend(&self, until: Moment) {
        // 500 years fit.
        let until = u64::try_from(until.since_start().as_nanos()).unwrap_or(ALWAYS);
        // Refused by a fence that was shut for good: it stays as it is.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| (now != SHUT).then_some(now.max(until)));
    }

    /// Shut, for good.
    pub fn shut(&self) {
        self.0.store(SHUT, Ordering::Release);
    }

    /// Whether a write may start.
    pub fn admits(&self, now: Moment) -> bool {
        now.since_start().as_nanos() < u128::from(self.0.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::Fence;
    use crate::clock::Moment;
    use std::time::Duration;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn it_is_open_until_the_moment_it_was_extended_to() {
        let fence = Fence::unopened();
        assert!(!fence.admits(at(1)));
        fence.extend(at(10));
        assert!(fence.admits(at(9)));
        assert!(!fence.admits(at(10)));
        fence.extend(at(5));
        assert!(fence.admits(at(9)), "an earlier end does not take back a later one");
    }

    #[test]
    fn once_shut_it_stays_shut() {
        for fence in [Fence::unopened(), Fence::always_open()] {
            fence.shut();
            fence.extend(at(10));
            assert!(!fence.admits(at(1)));
        }
    }

    #[test]
    fn without_election_it_is_always_open() {
        assert!(Fence::always_open().admits(Moment::now()));
    }
}
