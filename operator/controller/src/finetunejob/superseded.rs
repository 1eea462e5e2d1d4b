//! Versions of jobs that a status write of ours has replaced. Until the watch brings the newer one, a decision would be made on what is
//! known to be old, and its write be refused. When it brings what we wrote and nothing else, there is nothing to decide.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last write of each job, by UID.
#[derive(Debug, Default)]
pub struct Superseded {
    writes: Mutex<HashMap<String, Write>>,
}

#[derive(Debug)]
struct Write {
    replaced: String,
    made: String,
    /// Whether somebody wanted to decide meanwhile, and is to when the watch has caught up.
    is_awaited: bool,
}

impl Superseded {
    /// Notes that a write has made the version `after` of `before`. One that changed nothing has made none, and nothing newer will come.
    pub fn note(&self, uid: &str, before: Option<&str>, after: Option<&str>) {
        if let (Some(replaced), Some(made)) = (before, after)
            && replaced != made
        {
            let write = Write { replaced: replaced.to_owned(), made: made.to_owned(), is_awaited: false };
            self.lock().insert(uid.to_owned(), write);
        }
    }

    /// Whether this version of a job is one that was replaced.
    pub fn is_stale(&self, uid: &str, version: Option<&str>) -> bool {
        let mut writes = self.lock();
        match writes.get_mut(uid) {
            Some(write) if version == Some(write.replaced.as_str()) => {
                write.is_awaited = true;
                true
            }
            Some(_) => {
                writes.remove(uid);
                false
            }
            None => false,
        }
    }

    /// Whether this version is what our last write made, and nobody has waited for it: what it says was decided when it was written.
    pub fn is_echo(&self, uid: &str, version: Option<&str>) -> bool {
        self.lock().get(uid).is_some_and(|write| version == Some(write.made.as_str()) && !write.is_awaited)
    }

    /// Nothing more is written of this job.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// There are only jobs with these UIDs.
    pub fn retain(&self, uids: &HashSet<&str>) {
        self.lock().retain(|uid, _| uids.contains(uid.as_str()));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Write>> {
        // A panic elsewhere leaves the map as good as it was.
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!(!superseded.is_echo("u", Some("2")));
        superseded.note("u", Some("2"), Some("2"));
        assert!(!superseded.is_stale("u", Some("2")), "nothing newer will come of a write that changed nothing");
    }

    #[test]
    fn what_was_written_is_an_echo_unless_somebody_waits_for_it() {
        let superseded = Superseded::default();
        superseded.note("u", Some("1"), Some("2"));
        assert!(superseded.is_echo("u", Some("2")) && superseded.is_echo("u", Some("2")), "a watch that starts again brings it again");
        assert!(!superseded.is_echo("u", Some("3")), "somebody else has written since");
        assert!(!superseded.is_echo("other", Some("2")));
        assert!(superseded.is_stale("u", Some("1")), "something has happened before the watch caught up");
        assert!(!superseded.is_echo("u", Some("2")), "it was put off until now");
    }
}
