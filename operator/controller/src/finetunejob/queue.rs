//! Which jobs wait for a reconcile: told to be looked at, and not begun yet.

use super::family::JobKey;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The jobs that wait. One that is told about twice waits once, and one that is due for a retry does not wait until then.
#[derive(Debug, Default)]
pub struct Queue(Mutex<HashSet<JobKey>>);

impl Queue {
    /// A job is to be looked at.
    pub fn joins(&self, key: JobKey) {
        self.waiting().insert(key);
    }

    /// Its reconcile begins, or there is no such job any more.
    pub fn leaves(&self, key: &JobKey) {
        self.waiting().remove(key);
    }

    /// How many wait.
    pub fn depth(&self) -> usize {
        self.waiting().len()
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<JobKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{JobKey, Queue};

    #[test]
    fn a_job_waits_once_until_its_reconcile_begins() {
        let key = |name: &str| JobKey { namespace: "ml".to_owned(), name: name.to_owned() };
        let queue = Queue::default();
        queue.joins(key("a"));
        queue.joins(key("a"));
        queue.joins(key("b"));
        assert_eq!(queue.depth(), 2);
        queue.leaves(&key("a"));
        queue.leaves(&key("never told of"));
        assert_eq!(queue.depth(), 1);
    }
}
