//! The clock that leases, fences and the watchdog are measured with.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A moment on this machine, counted from its start.
///
/// It is `CLOCK_BOOTTIME`: it never jumps with the wall clock, and unlike `std::time::Instant` it goes on while the machine is suspended. A
/// leader that slept must find that its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        // Neither is negative: the clock counts from zero.
        Self(Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
    }

    /// The moment this long after the machine's start.
    pub const fn after_start(duration: Duration) -> Self {
        Self(duration)
    }

    /// Time since the machine's start.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The moment `duration` later.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Time since `earlier`; zero if that is still to come.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;
    use std::time::Duration;

    #[test]
    fn time_goes_forward_only() {
        let before = Moment::now();
        assert!(Moment::now() >= before);
        assert_eq!(before.plus(Duration::from_secs(2)).since(before), Duration::from_secs(2));
        assert_eq!(before.since(before.plus(Duration::from_secs(2))), Duration::ZERO);
    }
}
