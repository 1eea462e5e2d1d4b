//! Versions of jobs that a status write of ours has replaced. Until the watch brings the newer one, a decision would be made on what is
//! known to be old, and its write be refused.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The replaced version of each job, by UID.
#[derive(Debug, Default)]
pub struct Superseded {
    versions: Mutex<HashMap<String, String>>,
}

impl Superseded {
    /// Notes that a write has made the version `after` of `before`. One that changed nothing has made none, and nothing newer will come.
    pub fn note(&self, uid: &str, before: Option<&str>, after: Option<&str>) {
        if let Some(before) = before.filter(|_| after.is_some() && before != after) {
            self.lock().insert(uid.to_owned(), before.to_owned());
        }
    }

    /// Whether this version of a job is one that was replaced.
    pub fn is_stale(&self, uid: &str, version: Option<&str>) -> bool {
        let mut versions = self.lock();
        let stale = version.is_some() && versions.get(uid).map(String::as_str) == version;
        if !stale {
            versions.remove(uid);
        }
        stale
    }

    /// Nothing more is written of this job.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        // A panic elsewhere leaves the map as good as it was.
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Superseded;

    #[test]
    fn a_replaced_version_is_stale_until_a_newer_one_is_seen() {
        let superseded = Superseded::default();
        assert!(!superseded.is_stale("u", Some("1")));
        superseded.note("u", Some("1"), Some("2"));
        assert!(superseded.is_stale("u", Some("1")) && superseded.is_stale("u", Some("1")));
        assert!(!superseded.is_stale("other", Some("1")));
        assert!(!superseded.is_stale("u", Some("2")));
        assert!(!superseded.is_stale("u", Some("1")), "what was seen once is not waited for again");
        superseded.note("u", Some("2"), Some("2"));
        assert!(!superseded.is_stale("u", Some("2")), "nothing newer will come of a write that changed nothing");
    }
}
