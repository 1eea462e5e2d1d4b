//! Reads, writes and watches the Lease as the candidate decides, and moves the fence.

use super::candidate::{Candidate, Timing, Turn};
use super::fence::Fence;
use crate::clock::Moment;
use crate::complaint::Complaint;
use crate::health::{Condition, Health};
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use kube::api::{ObjectMeta, PostParams, WatchEvent, WatchParams};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The longest it waits without telling the watchdog that it is alive.
const ROUND: Duration = Duration::from_secs(5);
/// The longest that it may be silent: a round, and a request that is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// The API server ends a watch of the Lease after this, in seconds; the next one starts where it ended.
const WATCH_SECONDS: u32 = 25;
/// How the watchdog calls it.
const NAME: &str = "leader election";

type Changes = BoxStream<'static, kube::Result<WatchEvent<Lease>>>;

/// One replica's part in the election.
pub struct Elector {
    leases: Api<Lease>,
    name: String,
    candidate: Candidate,
    timing: Timing,
    fence: Arc<Fence>,
    health: Health,
    /// What a standby is told of the Lease.
    changes: Option<Changes>,
    complaint: Complaint,
}

/// Another leads: this process must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The new leader's identity.
    pub to: String,
}

impl Elector {
    /// A candidate for the Lease `name`. `leases` must not be fenced.
    pub fn new(leases: Api<Lease>, name: &str, identity: &str, timing: Timing, fence: Arc<Fence>, health: Health) -> Self {
        let candidate = Candidate::new(identity, timing);
        let complaint = Complaint::about("leader election");
        Self { leases, name: name.to_owned(), candidate, timing, fence, health, changes: None, complaint }
    }

    /// Returns once this process leads.
    pub async fn acquire(&mut self) {
        let mut holder = None;
        while self.candidate.leads_until().is_none() {
            self.round().await;
            let now = self.candidate.holder().map(str::to_owned);
            if now != holder && self.candidate.leads_until().is_none() {
                if let Some(leader) = &now {
                    tracing::info!(leader, lease = self.name, "another replica leads; this one stands by");
                }
                holder = now;
            }
        }
        self.changes = None;
    }

    /// Renews the Lease. Returns only when another leads.
    pub async fn hold(&mut self) -> Lost {
        loop {
            if let Some(lost) = self.round().await {
                self.fence.shut();
                return lost;
            }
        }
    }

    /// Shuts the fence and gives the Lease up, so that another replica leads at once. Everything that writes must have ended.
    pub async fn release(&mut self) {
        self.fence.shut();
        // A renewal may have been under way when this was called: then the first try meets a newer version.
        for _ in 0..2 {
            let Some((version, spec)) = self.candidate.release(Timestamp::now()) else { return };
            match self.send(Some(&version), spec).await {
                Ok(_) => return tracing::info!(lease = self.name, "the lease is released"),
                Err(Failure::Conflict) => self.read().await,
                Err(Failure::Other(reason)) => {
                    return tracing::warn!(lease = self.name, reason, "the lease is not released; it runs out by itself");
                }
                Err(Failure::Missing) => return,
            }
        }
    }

    /// One decision, carried out.
    async fn round(&mut self) -> Option<Lost> {
        self.health.watchdog.beat(NAME, SILENCE);
        if self.candidate.leads_until().is_some() {
            self.tell_readiness();
        }
        match self.candidate.turn(Moment::now(), Timestamp::now()) {
            Turn::Read => self.read().await,
            Turn::Write { version, spec } => self.write(version.as_deref(), spec).await,
            Turn::Wait(until) => self.wait(until.since(Moment::now()).min(ROUND)).await,
            Turn::Lost { to } => return Some(Lost { to }),
        }
        None
    }

    fn tell_readiness(&self) {
        if self.fence.admits(Moment::now()) {
            self.health.readiness.met(Condition::Lease);
        } else {
            self.health.readiness.waits(Condition::Lease, "the lease could not be renewed in time; nothing is written until it is");
        }
    }

    async fn read(&mut self) {
        let answer = timeout(self.patience(), self.leases.get_opt(&self.name)).await;
        let now = Moment::now();
        match answer {
            Ok(Ok(lease)) => self.candidate.observe(lease.as_ref(), now),
            Ok(Err(error)) => self.failed(format!("failed to read: {error}")),
            Err(_) => self.failed("failed to read: no answer in time".to_owned()),
        }
    }

    async fn write(&mut self, version: Option<&str>, spec: LeaseSpec) {
        let sent = Moment::now();
        match self.send(version, spec).await {
            Ok(lease) => {
                self.candidate.written(&lease, sent, Moment::now());
                if let Some(until) = self.candidate.leads_until() {
                    self.fence.extend(until);
                }
                self.complaint.settled();
            }
            // Somebody was faster, or an earlier request of ours arrived after all: the next round looks.
            Err(Failure::Conflict) => self.candidate.failed(Moment::now().plus(self.jittered(self.timing.retry_period / 4))),
            Err(Failure::Missing) => self.candidate.observe(None, Moment::now()),
            Err(Failure::Other(reason)) => self.failed(format!("failed to write: {reason}")),
        }
    }

    async fn send(&self, version: Option<&str>, spec: LeaseSpec) -> Result<Lease, Failure> {
        // Labels and annotations that people put there stay.
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            resource_version: version.map(str::to_owned),
            ..version.map(|_| self.candidate.metadata()).unwrap_or_default()
        };
        let lease = Lease { metadata, spec: Some(spec) };
        let parameters = PostParams { field_manager: Some(crate::FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = async {
            match version {
                Some(_) => self.leases.replace(&self.name, &parameters, &lease).await,
                None => self.leases.create(&parameters, &lease).await,
            }
        };
        match timeout(self.patience(), request).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_already_exists() => Err(Failure::Conflict),
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() && version.is_some() => Err(Failure::Missing),
            Ok(Err(error)) => Err(Failure::Other(error.to_string())),
            Err(_) => Err(Failure::Other("no answer in time".to_owned())),
        }
    }

    /// Waits; a standby also for news of the Lease.
    async fn wait(&mut self, duration: Duration) {
        if self.candidate.leads_until().is_some() {
            return sleep(duration).await;
        }
        if self.changes.is_none() && !self.watch().await {
            // Asking again and again does as well, only later.
            sleep(duration.min(self.jittered(self.timing.retry_period))).await;
            return self.candidate.forget();
        }
        let Some(changes) = &mut self.changes else { return };
        match timeout(duration, changes.next()).await {
            Err(_) | Ok(Some(Ok(WatchEvent::Bookmark(_)))) => {}
            Ok(Some(Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease)))) => self.candidate.observe(Some(&lease), Moment::now()),
            Ok(Some(Ok(WatchEvent::Deleted(_)))) => self.candidate.observe(None, Moment::now()),
            Ok(None) => self.changes = None,
            Ok(Some(Ok(WatchEvent::Error(_)) | Err(_))) => {
                self.changes = None;
                self.candidate.failed(Moment::now().plus(self.jittered(self.timing.retry_period / 4)));
            }
        }
    }

    /// Starts to watch; whether that succeeded.
    async fn watch(&mut self) -> bool {
        // From the present state, which is told first: the version that was read may be too old for a watch when nothing has changed.
        let version = "";
        let parameters = WatchParams::default().fields(&format!("metadata.name={}", self.name)).timeout(WATCH_SECONDS);
        match timeout(self.patience(), self.leases.watch(&parameters, version)).await {
            Ok(Ok(changes)) => {
                self.changes = Some(changes.boxed());
                self.complaint.settled();
            }
            Ok(Err(error)) => self.complaint.say(&format!("failed to watch, so this replica asks again and again: {error}")),
            Err(_) => self.complaint.say("failed to watch, so this replica asks again and again: no answer in time"),
        }
        self.changes.is_some()
    }

    fn failed(&mut self, reason: String) {
        self.complaint.say(&reason);
        self.candidate.failed(Moment::now().plus(self.jittered(self.timing.retry_period)));
    }

    /// How long a request may take: two fit into the time for which a leader may write.
    fn patience(&self) -> Duration {
        (self.timing.renew_deadline / 2).min(Duration::from_secs(5))
    }

    /// Up to a fifth longer, so that replicas do not ask in step.
    fn jittered(&self, duration: Duration) -> Duration {
        duration.mul_f64(1.0 + 0.2 * fastrand::f64())
    }
}

enum Failure {
    Conflict,
    Missing,
    Other(String),
}
