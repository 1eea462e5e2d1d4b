//! Jobs that are over and have nothing left to come: they are counted, and otherwise not kept. There may be thousands for each that runs.

use super::family::JobKey;
use crate::watched::{Body, KnownJob};
use kube::runtime::watcher::Event;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which jobs are settled.
#[derive(Debug, Default)]
pub struct Settled {
    hasher: RandomState,
    known: Mutex<Known>,
}

/// `Complete` or why each failed, by a hash of its namespace and name: a job's own strings would be most of what is kept.
type Ends = HashMap<u64, &'static str>;

#[derive(Debug, Default)]
struct Known {
    ends: Ends,
    /// What the listing that is under way has brought.
    listed: Option<Ends>,
}

impl Settled {
    /// Takes settled jobs out of a watch's events: to who comes after, a job that settles is deleted.
    pub fn pass(&self, event: Event<KnownJob>) -> Option<Event<KnownJob>> {
        let mut known = self.lock();
        match event {
            Event::Apply(job) => {
                let hash = self.hash(&job);
                match end(&job) {
                    Some(reason) => {
                        known.ends.insert(hash, reason);
                        Some(Event::Delete(job))
                    }
                    None => {
                        known.ends.remove(&hash);
                        Some(Event::Apply(job))
                    }
                }
            }
            Event::Delete(job) => {
                known.ends.remove(&self.hash(&job));
                Some(Event::Delete(job))
            }
            Event::Init => {
                known.listed = Some(Ends::new());
                Some(Event::Init)
            }
            Event::InitApply(job) => match end(&job) {
                Some(reason) => {
                    let hash = self.hash(&job);
                    known.listed.get_or_insert_default().insert(hash, reason);
                    None
                }
                None => Some(Event::InitApply(job)),
            },
            Event::InitDone => {
                if let Some(mut listed) = known.listed.take() {
                    listed.shrink_to_fit();
                    known.ends = listed;
                }
                Some(Event::InitDone)
            }
        }
    }

    /// Whether a job is settled.
    pub fn has(&self, key: &JobKey) -> bool {
        self.lock().ends.contains_key(&self.hash_of(&key.namespace, &key.name))
    }

    /// How many there are that ended so.
    pub fn count(&self) -> BTreeMap<&'static str, usize> {
        let mut count = BTreeMap::new();
        for reason in self.lock().ends.values() {
            *count.entry(*reason).or_default() += 1;
        }
        count
    }

    fn hash(&self, job: &KnownJob) -> u64 {
        self.hash_of(job.namespace(), job.name())
    }

    fn hash_of(&self, namespace: &str, name: &str) -> u64 {
        self.hasher.hash_one((namespace, name))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // A panic elsewhere leaves the maps as good as they were.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a job that is settled ended; `None` for one that is not.
fn end(job: &KnownJob) -> Option<&'static str> {
    match &job.body {
        Body::Finished(end) if end.is_settled(job.metadata.generation) => Some(end.reason),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Settled;
    use crate::finetunejob::family::JobKey;
    use crate::watched::KnownJob;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    fn job(name: &str, end: Option<&str>, generation: i64, ttl: Value) -> KnownJob {
        let condition = |type_| json!({ "type": type_, "status": "True", "reason": "Diverged", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" });
        let conditions: Vec<Value> = end.into_iter().map(condition).collect();
        let job = json!({
            "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob",
            "metadata": { "name": name, "namespace": "ml", "uid": name, "generation": generation },
            "spec": { "ttlSecondsAfterFinished": ttl },
            "status": { "observedGeneration": 1, "conditions": conditions },
        });
        serde_json::from_value(job).expect("a job")
    }

    fn what(event: Option<Event<KnownJob>>) -> String {
        match event {
            Some(Event::Apply(job)) => format!("apply {}", job.name()),
            Some(Event::InitApply(job)) => format!("list {}", job.name()),
            Some(Event::Delete(job)) => format!("delete {}", job.name()),
            Some(Event::Init) => "begin".to_owned(),
            Some(Event::InitDone) => "done".to_owned(),
            None => String::new(),
        }
    }

    fn key(name: &str) -> JobKey {
        JobKey { namespace: "ml".to_owned(), name: name.to_owned() }
    }

    fn counted(settled: &Settled) -> Vec<(&'static str, usize)> {
        settled.count().into_iter().collect()
    }

    #[test]
    fn a_job_is_passed_on_until_nothing_is_left_to_come() {
        let settled = Settled::default();
        let apply = |end, generation, ttl| what(settled.pass(Event::Apply(job("a", end, generation, ttl))));
        assert_eq!(apply(None, 1, Value::Null), "apply a");
        assert_eq!(apply(Some("Complete"), 1, json!(60)), "apply a", "it is to be freed");
        assert_eq!(apply(Some("Complete"), 2, Value::Null), "apply a", "its status is to say that the newer spec was seen");
        assert_eq!(apply(Some("Complete"), 1, Value::Null), "delete a");
        assert_eq!((settled.has(&key("a")), counted(&settled)), (true, vec![("Complete", 1)]));
        assert_eq!(what(settled.pass(Event::Apply(job("a", None, 1, Value::Null)))), "apply a", "another one of that name");
        assert_eq!((settled.has(&key("a")), counted(&settled)), (false, vec![]));
    }

    #[test]
    fn a_listing_counts_anew() {
        let settled = Settled::default();
        let pass = |event| what(settled.pass(event));
        pass(Event::Apply(job("old", Some("Failed"), 1, Value::Null)));
        let listing = [
            pass(Event::Init),
            pass(Event::InitApply(job("a", Some("Complete"), 1, Value::Null))),
            pass(Event::InitApply(job("b", None, 1, Value::Null))),
            pass(Event::InitApply(job("c", Some("Failed"), 1, Value::Null))),
            pass(Event::InitDone),
        ];
        assert_eq!(listing, ["begin", "", "list b", "", "done"]);
        assert_eq!((counted(&settled), settled.has(&key("old"))), (vec![("Complete", 1), ("Diverged", 1)], false));
        assert_eq!(what(settled.pass(Event::Delete(job("c", Some("Failed"), 1, Value::Null)))), "delete c");
        assert_eq!(counted(&settled), [("Complete", 1)]);
    }
}
