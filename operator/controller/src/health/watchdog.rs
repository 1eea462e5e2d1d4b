//! Notices that a part of the process is stuck, so that Kubernetes restarts it.
//!
//! The probe is answered by the event loop itself: if that is blocked, there is no answer at all. The watchdog sees what an event loop that
//! turns can still hide: a task that waits for something that never comes.

use crate::clock::Moment;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longer than a reconcile takes whose every request runs into its timeout.
const LONGEST_RECONCILE: Duration = Duration::from_secs(300);

/// Who was last heard when.
#[derive(Debug, Default)]
pub struct Watchdog(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Until when parts that must be heard regularly may be silent.
    beats: BTreeMap<&'static str, Moment>,
    /// Work that runs: what, and since when.
    running: BTreeMap<u64, (String, Moment)>,
    counter: u64,
}

/// A piece of work that runs, until this is dropped.
#[derive(Debug)]
pub struct Running {
    watchdog: Arc<Watchdog>,
    number: u64,
}

impl Watchdog {
    /// `part` is alive, and will say so again within `silence`.
    pub fn beat(&self, part: &'static str, silence: Duration) {
        self.lock().beats.insert(part, Moment::now().plus(silence));
    }

    /// `part` has ended, and will not be heard again.
    pub fn retire(&self, part: &'static str) {
        self.lock().beats.remove(part);
    }

    /// `work` begins, such as `FineTuneJob default/listings`; it ends when the answer is dropped.
    pub fn begin(self: &Arc<Self>, work: impl Into<String>) -> Running {
        let mut heard = self.lock();
        heard.counter += 1;
        let number = heard.counter;
        heard.running.insert(number, (work.into(), Moment::now()));
        Running { watchdog: Arc::clone(self), number }
    }

    /// How many pieces of work run.
    pub fn running(&self) -> usize {
        self.lock().running.len()
    }

    /// Alive, or what is stuck: a line each.
    pub fn verdict(&self, now: Moment) -> Result<(), String> {
        let heard = self.lock();
        let silent = heard.beats.iter().filter(|(_, until)| now > **until);
        let silent =
            silent.map(|(part, until)| format!("{part}: not heard for {} s longer than it should take\n", now.since(*until).as_secs()));
        let stuck = heard.running.values().filter(|(_, since)| now.since(*since) > LONGEST_RECONCILE);
        let stuck = stuck.map(|(work, since)| format!("{work}: its reconcile runs since {} s\n", now.since(*since).as_secs()));
        let all = silent.chain(stuck).collect::<String>();
        if all.is_empty() { Ok(()) } else { Err(all) }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // Each change is one insertion or removal: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watchdog.lock().running.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_RECONCILE, Watchdog};
    use crate::clock::Moment;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_part_that_falls_silent_is_named() {
        let watchdog = Watchdog::default();
        let now = Moment::now();
        assert_eq!(watchdog.verdict(now), Ok(()));
        watchdog.beat("leader election", Duration::from_secs(60));
        assert_eq!(watchdog.verdict(now.plus(Duration::from_secs(59))), Ok(()));
        let late = watchdog.verdict(now.plus(Duration::from_secs(100)));
        assert!(late.as_ref().is_err_and(|reason| reason.starts_with("leader election: not heard")), "{late:?}");
        watchdog.retire("leader election");
        assert_eq!(watchdog.verdict(now.plus(Duration::from_secs(100))), Ok(()));
    }

    #[test]
    fn work_that_never_ends_is_named_and_work_that_ended_is_not() {
        let watchdog = Arc::new(Watchdog::default());
        let stuck = watchdog.begin("FineTuneJob default/stuck");
        drop(watchdog.begin("FineTuneJob default/done"));
        assert_eq!(watchdog.running(), 1);
        let later = Moment::now().plus(LONGEST_RECONCILE).plus(Duration::from_secs(1));
        let verdict = watchdog.verdict(later);
        assert!(verdict.as_ref().is_err_and(|reason| reason.contains("default/stuck") && !reason.contains("default/done")), "{verdict:?}");
        drop(stuck);
        assert_eq!(watchdog.verdict(later), Ok(()));
    }
}
