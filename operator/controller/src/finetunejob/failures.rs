//! Failures in a row, for waits that grow.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often each job's reconciliation has failed in a row, by UID.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<String, Row>>);

#[derive(Debug)]
struct Row {
    count: u32,
    /// When it was to be tried again.
    due: Instant,
}

impl Failures {
    /// A reconciliation failed. Gives how often it has, and how long to wait, which `wait` says for so many failures before. One that was
    /// begun before its time, because something happened, is no further sign that trying helps nothing: the wait stays as it was.
    pub fn note(&self, uid: &str, now: Instant, wait: impl Fn(u32) -> Duration) -> (u32, Duration) {
        let mut rows = self.lock();
        let row = rows.entry(uid.to_owned()).or_insert(Row { count: 0, due: now });
        if now >= row.due {
            row.count = row.count.saturating_add(1);
        }
        let wait = wait(row.count - 1);
        row.due = now + wait;
        (row.count, wait)
    }

    /// It did not fail, or nothing more is decided about it.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// There are only jobs with these UIDs.
    pub fn retain(&self, uids: &HashSet<&str>) {
        self.lock().retain(|uid, _| uids.contains(uid.as_str()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Row>> {
        // A panic elsewhere leaves the map as good as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Failures;
    use std::time::{Duration, Instant};

    #[test]
    fn waits_grow_with_tries_that_were_due_and_not_with_events() {
        let failures = Failures::default();
        let wait = |before: u32| Duration::from_secs(5 << before);
        let began = Instant::now();
        let at = |seconds| failures.note("u", began + Duration::from_secs(seconds), wait);
        assert_eq!(at(0), (1, Duration::from_secs(5)));
        assert_eq!([at(1), at(2), at(3)], [(1, Duration::from_secs(5)); 3], "pods come and go");
        assert_eq!(at(8), (2, Duration::from_secs(10)));
        assert_eq!(at(18), (3, Duration::from_secs(20)));
        failures.forget("u");
        assert_eq!(at(19), (1, Duration::from_secs(5)));
    }
}
