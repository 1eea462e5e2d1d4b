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
    /// A reconciliation failed. Gives how often it has by now, and how long to wait; `after` says how long for so many failures before this
    /// one. One that was begun before its time, because something happened, is no further sign that trying helps nothing: it is not counted,
    /// and what is left of the wait stays.
    pub fn note(&self, uid: &str, now: Instant, after: impl Fn(u32) -> Duration) -> (u32, Duration) {
        let mut rows = self.lock();
        let row = rows.entry(uid.to_owned()).or_insert(Row { count: 0, due: now });
        if now >= row.due {
            row.due = now + after(row.count);
            row.count = row.count.saturating_add(1);
        }
        (row.count, row.due - now)
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
        let began = Instant::now();
        let at = |seconds| {
            let (count, wait) = failures.note("u", began + Duration::from_secs(seconds), |before| Duration::from_secs(5 << before));
            (count, wait.as_secs())
        };
        assert_eq!(at(0), (1, 5));
        assert_eq!([at(1), at(2), at(4)], [(1, 4), (1, 3), (1, 1)], "pods come and go");
        assert_eq!([at(5), at(14), at(15)], [(2, 10), (2, 1), (3, 20)]);
        failures.forget("u");
        assert_eq!(at(16), (1, 5));
    }
}
