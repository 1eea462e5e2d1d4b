//! Whether the operator can do its work, and what it waits for otherwise.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that must be so before the operator can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The API server serves Temper's custom resources.
    Crds,
    /// The leader's caches hold what there is. Standbys have none.
    Caches,
    /// The leader may write. Standbys have no such condition.
    Lease,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Crds, Self::Caches, Self::Lease];

    /// Its name in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crds => "crds",
            Self::Caches => "caches",
            Self::Lease => "lease",
        }
    }
}

/// The conditions that count at the moment.
#[derive(Debug)]
pub struct Readiness(Mutex<BTreeMap<Condition, Option<String>>>);

impl Default for Readiness {
    /// As at the start: nothing is known of the CRDs.
    fn default() -> Self {
        Self(Mutex::new([(Condition::Crds, Some("the API server was not asked yet".to_owned()))].into()))
    }
}

impl Readiness {
    /// It is so.
    pub fn met(&self, condition: Condition) {
        self.lock().insert(condition, None);
    }

    /// It is not so, and why.
    pub fn waits(&self, condition: Condition, reason: impl Into<String>) {
        self.lock().insert(condition, Some(reason.into()));
    }

    /// Whether a condition is met; `None` where it does not count.
    pub fn is_met(&self, condition: Condition) -> Option<bool> {
        self.lock().get(&condition).map(Option::is_none)
    }

    /// Ready, or what it waits for: a line each.
    pub fn verdict(&self) -> Result<(), String> {
        let waits = self
            .lock()
            .iter()
            .filter_map(|(condition, reason)| reason.as_ref().map(|reason| format!("{}: {reason}\n", condition.name())))
            .collect::<String>();
        if waits.is_empty() { Ok(()) } else { Err(waits) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Condition, Option<String>>> {
        // Each change is one insertion: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Condition, Readiness};

    #[test]
    fn it_is_ready_when_all_that_counts_is_met() {
        let readiness = Readiness::default();
        assert!(readiness.verdict().is_err(), "at the start nothing is known");
        readiness.met(Condition::Crds);
        assert_eq!(readiness.verdict(), Ok(()), "a standby needs no caches");
        readiness.waits(Condition::Caches, "pods are being listed");
        readiness.waits(Condition::Lease, "it ran out");
        assert_eq!(readiness.verdict(), Err("caches: pods are being listed\nlease: it ran out\n".to_owned()));
        readiness.met(Condition::Caches);
        readiness.met(Condition::Lease);
        assert_eq!(readiness.verdict(), Ok(()));
        assert_eq!(readiness.is_met(Condition::Caches), Some(true));
    }
}
