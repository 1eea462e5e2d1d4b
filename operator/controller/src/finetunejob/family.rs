//! What is known of the objects that belong to jobs: one family a FineTuneJob, filled by watches.
//!
//! kube's own stores keep every object of a kind by its name. Here lookups go by the job that the objects belong to, and the families of
//! finished jobs are let go, so that what is kept grows with the jobs that run.

use super::attempt::{SeenAttempt, is_lost};
use crate::watched::{BatchJob, BatchJobEvent, Kept, Pod, PodEvent};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use temper_crds::label;
use temper_objects::Owner;

/// A FineTuneJob by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Kinds of objects that belong to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` PersistentVolumeClaim.
    PersistentVolumeClaim,
    /// `v1` Service.
    Service,
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
    /// `batch/v1` Job.
    Job,
    /// `v1` Pod.
    Pod,
}

/// Whom a claim goes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The job with this UID.
    Of(Box<str>),
    /// Nobody: one that holds a registered model outlives its job.
    Nobody,
    /// It is being deleted.
    Going,
}

/// One object of a family.
#[derive(Clone, Debug, PartialEq)]
enum Member {
    /// A Job.
    Job(Arc<BatchJob>),
    /// A pod.
    Pod(Arc<Pod>),
    /// A claim.
    Claim(Whose),
    /// Any other: the digest of what is in it, where it has one.
    Present(Option<Box<str>>),
}

#[derive(Clone, Debug, Default)]
struct Family {
    members: BTreeMap<(Kind, Box<str>), (u64, Member)>,
}

/// Every family.
#[derive(Debug, Default)]
pub struct Families {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    families: HashMap<JobKey, Family>,
    /// The number of the current listing of each kind; what an older one brought and the current one did not is gone.
    listings: HashMap<Kind, u64>,
}

impl JobKey {
    /// The job that an object belongs to, by its labels.
    pub fn of(metadata: &ObjectMeta) -> Option<Self> {
        let name = metadata.labels.as_ref()?.get(label::JOB_NAME)?.clone();
        Some(Self { namespace: metadata.namespace.clone()?, name })
    }
}

impl From<&Owner> for JobKey {
    fn from(owner: &Owner) -> Self {
        Self { namespace: owner.namespace.clone(), name: owner.name.clone() }
    }
}

impl Families {
    /// A Job is as it is said to be; gives the job to look at again, if that is news.
    pub fn put_job(&self, event: BatchJobEvent) -> Option<JobKey> {
        let key = JobKey::of(&event.metadata)?;
        let job = BatchJob::from(event);
        let name = job.metadata.name.clone();
        self.lock().put(key.clone(), Kind::Job, name, Member::Job(Arc::new(job))).then_some(key)
    }

    /// A pod is as it is said to be; gives the job to look at again, if that is news.
    pub fn put_pod(&self, event: PodEvent) -> Option<JobKey> {
        let key = JobKey::of(&event.metadata)?;
        let pod = Pod::from(event);
        let name = pod.metadata.name.clone();
        self.lock().put(key.clone(), Kind::Pod, name, Member::Pod(Arc::new(pod))).then_some(key)
    }

    /// An object of another kind is there, with this digest of what is in it.
    pub fn put(&self, key: JobKey, kind: Kind, name: &str, digest: Option<&str>) {
        let mut known = self.lock();
        // Our own requests are noted before their watch events come; an event without news must not undo what a newer request noted.
        known.put(key, kind, name.into(), Member::Present(digest.map(Into::into)));
    }

    /// A claim is there.
    pub fn put_claim(&self, key: JobKey, name: &str, whose: Whose) {
        self.lock().put(key, Kind::PersistentVolumeClaim, name.into(), Member::Claim(whose));
    }

    /// Whose a claim is, if it is there.
    pub fn claim(&self, key: &JobKey, name: &str) -> Option<Whose> {
        let known = self.lock();
        match &known.families.get(key)?.members.get(&(Kind::PersistentVolumeClaim, name.into()))?.1 {
            Member::Claim(whose) => Some(whose.clone()),
            _ => None,
        }
    }

    /// An object is gone.
    pub fn remove(&self, key: &JobKey, kind: Kind, name: &str) {
        let mut known = self.lock();
        let Some(family) = known.families.get_mut(key) else { return };
        family.members.remove(&(kind, name.into()));
        if family.members.is_empty() {
            known.families.remove(key);
        }
    }

    /// A kind is listed anew from here on.
    pub fn begin_listing(&self, kind: Kind) {
        *self.lock().listings.entry(kind).or_default() += 1;
    }

    /// The listing is done; gives the jobs that have lost something.
    pub fn end_listing(&self, kind: Kind) -> Vec<JobKey> {
        let mut known = self.lock();
        let current = known.listing(kind);
        let mut losers = Vec::new();
        known.families.retain(|key, family| {
            let before = family.members.len();
            family.members.retain(|(of, _), (listing, _)| *of != kind || *listing == current);
            if family.members.len() != before {
                losers.push(key.clone());
            }
            !family.members.is_empty()
        });
        losers
    }

    /// The try that a Job of this name is.
    pub fn attempt(&self, key: &JobKey, job_name: &str) -> Option<SeenAttempt> {
        let known = self.lock();
        let family = known.families.get(key)?;
        let Member::Job(job) = &family.members.get(&(Kind::Job, job_name.into()))?.1 else { return None };
        let uid = job.metadata.uid.as_deref();
        let pods = family.members.values().filter_map(|(_, member)| match member {
            Member::Pod(pod) if uid.is_some() && pod.metadata.controller() == uid => Some(Arc::clone(pod)),
            _ => None,
        });
        Some(SeenAttempt { job: Arc::clone(job), pods: pods.collect() })
    }

    /// A pod that has not ended although its Job is gone: somebody deleted that, or an earlier job of this name had it.
    pub fn pod_left_behind(&self, key: &JobKey, now: Timestamp) -> Option<String> {
        let known = self.lock();
        let members = &known.families.get(key)?.members;
        let jobs: Vec<&str> = members.values().filter_map(|(_, member)| member.job()?.metadata.uid.as_deref()).collect();
        let left = members.values().filter_map(|(_, member)| member.pod()).find(|pod| {
            let is_of_no_job = pod.metadata.controller().is_none_or(|uid| !jobs.contains(&uid));
            is_of_no_job && !pod.is_over() && !is_lost(pod, now)
        });
        left.map(|pod| pod.name().to_owned())
    }

    /// Everything that belongs to the job.
    pub fn names(&self, key: &JobKey) -> Vec<(Kind, String)> {
        let known = self.lock();
        let names = known.families.get(key).into_iter().flat_map(|family| family.members.keys());
        names.map(|(kind, name)| (*kind, name.to_string())).collect()
    }

    /// Whether an object is there, or was asked for.
    pub fn is_there(&self, key: &JobKey, kind: Kind, name: &str) -> bool {
        self.lock().families.get(key).is_some_and(|family| family.members.contains_key(&(kind, name.into())))
    }

    /// Whether an object is there with this digest of what is in it.
    pub fn is_current(&self, key: &JobKey, kind: Kind, name: &str, digest: Option<&str>) -> bool {
        let known = self.lock();
        let Some((_, member)) = known.families.get(key).and_then(|family| family.members.get(&(kind, name.into()))) else { return false };
        matches!(member, Member::Present(known) if known.as_deref() == digest)
    }

    /// Whether anything of the kind is there.
    pub fn has(&self, key: &JobKey, kind: Kind) -> bool {
        self.lock().families.get(key).is_some_and(|family| family.members.keys().any(|(of, _)| *of == kind))
    }

    /// Notes that a Job was asked for: until its watch event comes, it stands there without pods.
    pub fn expect_job(&self, key: JobKey, name: &str, owner: &OwnerReference) {
        let mut known = self.lock();
        if known.families.get(&key).is_some_and(|family| family.members.contains_key(&(Kind::Job, name.into()))) {
            return;
        }
        let job = BatchJob::asked_for(Kept::asked_for(name, owner));
        known.put(key, Kind::Job, name.into(), Member::Job(Arc::new(job)));
    }

    /// Keeps of a finished job's family only that it is there.
    pub fn shrink(&self, key: &JobKey) {
        if let Some(family) = self.lock().families.get_mut(key) {
            family.shrink();
        }
    }

    /// The same of every job that is meant.
    pub fn shrink_those(&self, are_meant: impl Fn(&JobKey) -> bool) {
        let mut known = self.lock();
        known.families.iter_mut().filter(|(key, _)| are_meant(key)).for_each(|(_, family)| family.shrink());
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing that holds the lock can panic between two changes that belong together.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn job(&self) -> Option<&BatchJob> {
        match self {
            Self::Job(job) => Some(job),
            _ => None,
        }
    }

    fn pod(&self) -> Option<&Pod> {
        match self {
            Self::Pod(pod) => Some(pod),
            _ => None,
        }
    }
}

impl Family {
    fn shrink(&mut self) {
        self.members.retain(|(kind, _), _| *kind != Kind::Pod);
        for (_, member) in self.members.values_mut() {
            // Whose a claim is decides whether it may be freed.
            if !matches!(member, Member::Claim(_)) {
                *member = Member::Present(None);
            }
        }
    }
}

impl Known {
    fn listing(&self, kind: Kind) -> u64 {
        self.listings.get(&kind).copied().unwrap_or_default()
    }

    /// Whether it says anything new.
    fn put(&mut self, key: JobKey, kind: Kind, name: Box<str>, member: Member) -> bool {
        let listing = self.listing(kind);
        let members = &mut self.families.entry(key).or_default().members;
        match members.entry((kind, name)) {
            Entry::Vacant(place) => {
                place.insert((listing, member));
                true
            }
            Entry::Occupied(mut place) => {
                let (_, known) = place.insert((listing, member));
                known != place.get().1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Families, JobKey, Kind};
    use crate::finetunejob::attempt::LOST_AFTER_SECONDS;
    use crate::watched::{BatchJobEvent, PodEvent};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use k8s_openapi::jiff::Timestamp;
    use serde_json::{Value, json};

    fn key() -> JobKey {
        JobKey { namespace: "ml".to_owned(), name: "tiny".to_owned() }
    }

    fn job_with(name: &str, version: &str, status: Value) -> BatchJobEvent {
        let labels = json!({ "temper.dev/job-name": "tiny" });
        let metadata = json!({ "namespace": "ml", "name": name, "uid": name, "resourceVersion": version, "labels": labels });
        serde_json::from_value(json!({ "metadata": metadata, "status": status })).expect("a Job")
    }

    fn job(name: &str) -> BatchJobEvent {
        job_with(name, "1", json!({}))
    }

    fn metadata(name: &str, owner: &str) -> Value {
        let owner = json!({ "apiVersion": "batch/v1", "kind": "Job", "name": owner, "uid": owner, "controller": true });
        json!({ "namespace": "ml", "name": name, "labels": { "temper.dev/job-name": "tiny" }, "ownerReferences": [owner] })
    }

    fn pod_with(name: &str, owner: &str, conditions: &[&str]) -> PodEvent {
        let metadata = metadata(name, owner);
        let conditions: Vec<Value> = conditions.iter().map(|type_| json!({ "type": type_, "status": "True" })).collect();
        serde_json::from_value(json!({ "metadata": metadata, "status": { "conditions": conditions } })).expect("a pod")
    }

    fn pod(name: &str, owner: &str) -> PodEvent {
        pod_with(name, owner, &[])
    }

    #[test]
    fn an_attempt_is_its_job_and_that_jobs_pods() {
        let families = Families::default();
        families.put_job(job("tiny-a0"));
        families.put_job(job("tiny-a1"));
        families.put_pod(pod("x", "tiny-a0"));
        families.put_pod(pod("y", "tiny-a1"));
        let seen = families.attempt(&key(), "tiny-a1").expect("there");
        assert_eq!(seen.pods.iter().map(|pod| pod.name()).collect::<Vec<_>>(), ["y"]);
        assert!(families.attempt(&key(), "tiny-a2").is_none());
    }

    #[test]
    fn a_pod_is_left_behind_while_it_ends_without_its_job() {
        let families = Families::default();
        let left = |families: &Families| families.pod_left_behind(&key(), Timestamp::UNIX_EPOCH);
        let ending = |phase: &str| {
            let mut pod = json!({ "metadata": metadata("x", "tiny-a0"), "status": { "phase": phase } });
            pod["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:01:00Z");
            serde_json::from_value::<PodEvent>(pod).expect("a pod")
        };
        families.put_job(job("tiny-a0"));
        families.put_pod(ending("Running"));
        assert_eq!(left(&families), None, "its Job tells when it has ended");
        families.remove(&key(), Kind::Job, "tiny-a0");
        assert_eq!(left(&families).as_deref(), Some("x"));
        let late = families.pod_left_behind(&key(), Timestamp::from_second(60 + LOST_AFTER_SECONDS).expect("a time"));
        assert_eq!(late, None, "its machine is lost, and nobody waits for it");
        families.put_pod(ending("Failed"));
        assert_eq!(left(&families), None);
        families.put_pod(pod("y", "tiny-a0"));
        assert_eq!(left(&families).as_deref(), Some("y"), "the garbage collector is about to tell it");
    }

    #[test]
    fn only_what_decisions_read_is_news() {
        let families = Families::default();
        let at_version = |version: &str, active: i32| job_with("tiny-a0", version, json!({ "active": active }));
        assert_eq!(families.put_job(at_version("1", 1)), Some(key()));
        assert_eq!(families.put_job(at_version("2", 1)), None, "the API server counts what others wrote, too");
        assert_eq!(families.put_job(at_version("3", 0)), Some(key()));
        assert_eq!(families.put_pod(pod("x", "tiny-a0")), Some(key()));
        assert_eq!(families.put_pod(pod("x", "tiny-a0")), None);
        let with = |conditions: &[&str]| families.put_pod(pod_with("x", "tiny-a0", conditions));
        assert_eq!((with(&["Initialized"]), with(&["Initialized", "Ready"])), (None, Some(key())));
        families.remove(&key(), Kind::Pod, "x");
        assert_eq!(families.put_pod(pod("x", "tiny-a0")), Some(key()));
    }

    #[test]
    fn what_a_new_listing_does_not_bring_is_gone() {
        let families = Families::default();
        families.put_job(job("tiny-a0"));
        families.put(key(), Kind::Service, "tiny-ranks", None);
        families.begin_listing(Kind::Job);
        families.put_job(job("tiny-a1"));
        assert_eq!(families.end_listing(Kind::Job), [key()]);
        let names = [(Kind::Service, "tiny-ranks".to_owned()), (Kind::Job, "tiny-a1".to_owned())];
        assert_eq!(families.names(&key()), names, "other kinds are listed by themselves");
    }

    #[test]
    fn a_job_that_was_asked_for_stands_there_until_it_is_seen() {
        let families = Families::default();
        let uid = |families: &Families| families.attempt(&key(), "tiny-a0").map(|seen| seen.job.metadata.uid.clone());
        families.expect_job(key(), "tiny-a0", &OwnerReference::default());
        families.put_pod(pod("x", "tiny-a0"));
        assert!(families.attempt(&key(), "tiny-a0").is_some_and(|seen| seen.pods.is_empty() && seen.job.metadata.uid.is_none()));
        families.put_job(job("tiny-a0"));
        families.expect_job(key(), "tiny-a0", &OwnerReference::default());
        assert_eq!(uid(&families), Some(Some("tiny-a0".into())), "what is seen is not taken back");
    }

    #[test]
    fn a_digest_tells_whether_what_is_there_is_what_is_wanted() {
        let families = Families::default();
        families.put(key(), Kind::ConfigMap, "tiny-trainer", Some("1"));
        assert!(families.is_current(&key(), Kind::ConfigMap, "tiny-trainer", Some("1")));
        assert!(!families.is_current(&key(), Kind::ConfigMap, "tiny-trainer", Some("2")));
        families.remove(&key(), Kind::ConfigMap, "tiny-trainer");
        assert!(!families.has(&key(), Kind::ConfigMap));
    }
}
