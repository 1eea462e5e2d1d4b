//! Decides what a replica does about the Lease next. Values and times in, values out: it reads no clock and sends nothing.

use crate::clock::Moment;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use std::time::Duration;

/// How long things take in an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long others wait after the leader's last renewal before they take its place.
    pub lease_duration: Duration,
    /// How long a leader may write after its last renewal. Shorter than the lease: what lies between is for writes on their way.
    pub renew_deadline: Duration,
    /// How often the leader renews.
    pub retry_period: Duration,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Read the Lease.
    Read,
    /// Write the Lease: in place of `version`, or as a new one where there is none.
    Write {
        /// The resource version that it must still have.
        version: Option<String>,
        /// What to write.
        spec: LeaseSpec,
    },
    /// Nothing before this moment, unless the Lease changes.
    Wait(Moment),
    /// Another leads now.
    Lost {
        /// Who.
        to: String,
    },
}

/// What is known of the Lease.
#[derive(Clone, Debug)]
struct Seen {
    /// `None` where there is no Lease; `spec` is then what was last seen of it.
    version: Option<String>,
    metadata: ObjectMeta,
    spec: LeaseSpec,
    /// When `spec` was first seen as it is.
    since: Moment,
    /// When the Lease was last read or written.
    at: Moment,
}

/// A term of leadership.
#[derive(Clone, Debug)]
struct Term {
    /// What the Lease says of when it was acquired: tells this term from that of another process with the same name.
    acquired: Option<MicroTime>,
    /// Just before the last renewal that succeeded was sent.
    renewed: Moment,
}

/// One replica in an election.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    seen: Option<Seen>,
    /// Whether `seen` may be out of date.
    stale: bool,
    term: Option<Term>,
    /// After a failure: nothing before.
    pause: Option<Moment>,
}

impl Candidate {
    /// A candidate that knows nothing yet.
    pub fn new(identity: impl Into<String>, timing: Timing) -> Self {
        Self { identity: identity.into(), timing, seen: None, stale: true, term: None, pause: None }
    }

    /// The Lease was read, or a watch told of a change; `None` where there is none. `now` is after it was received.
    pub fn observe(&mut self, lease: Option<&Lease>, now: Moment) {
        let version = lease.and_then(|lease| lease.metadata.resource_version.clone());
        // What a deleted Lease said still counts: its holder may not know yet.
        let spec = match (lease, &self.seen) {
            (Some(lease), _) => lease.spec.clone().unwrap_or_default(),
            (None, Some(seen)) => seen.spec.clone(),
            (None, None) => LeaseSpec::default(),
        };
        let since = self.seen.as_ref().filter(|seen| seen.spec == spec).map_or(now, |seen| seen.since);
        let metadata = lease.map(|lease| ObjectMeta { managed_fields: None, ..lease.metadata.clone() }).unwrap_or_default();
        self.seen = Some(Seen { version, metadata, spec, since, at: now });
        self.stale = false;
        self.pause = None;
    }

    /// A write that `turn` asked for was carried out. `sent` is before it was sent, `now` after the answer was received.
    pub fn written(&mut self, lease: &Lease, sent: Moment, now: Moment) {
        self.observe(Some(lease), now);
        let acquired = lease.spec.as_ref().and_then(|spec| spec.acquire_time.clone());
        self.term = Some(Term { acquired, renewed: sent });
    }

    /// What is known may be out of date: read before anything else.
    pub fn forget(&mut self) {
        self.stale = true;
    }

    /// A request failed: nothing before `until`, and then a look at what has become of it.
    pub fn failed(&mut self, until: Moment) {
        self.stale = true;
        self.pause = Some(until);
    }

    /// The moment until which this process may write, if it has led since it started.
    pub fn leads_until(&self) -> Option<Moment> {
        self.term.as_ref().map(|term| term.renewed.plus(self.timing.renew_deadline))
    }

    /// What else the Lease carries, to be written back as it is.
    pub fn metadata(&self) -> ObjectMeta {
        self.seen.as_ref().map(|seen| seen.metadata.clone()).unwrap_or_default()
    }

    /// Who holds the Lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref().and_then(|seen| holder(&seen.spec))
    }

    /// What to do at `now`; `wall` is what a wall clock shows, for people who read the Lease.
    pub fn turn(&self, now: Moment, wall: Timestamp) -> Turn {
        if let Some(pause) = self.pause.filter(|pause| now < *pause) {
            return Turn::Wait(pause);
        }
        match (&self.seen, &self.term) {
            _ if self.stale => Turn::Read,
            (None, _) => Turn::Read,
            (Some(seen), Some(term)) => self.leading(seen, term, now, wall),
            (Some(seen), None) => self.waiting(seen, now, wall),
        }
    }

    /// What to write in order to let another lead at once; `None` where this process does not hold the Lease.
    pub fn release(&self, wall: Timestamp) -> Option<(String, LeaseSpec)> {
        let (seen, term) = (self.seen.as_ref()?, self.term.as_ref()?);
        let version = seen.version.clone()?;
        let spec = LeaseSpec {
            holder_identity: None,
            // As other electors do: the shortest that the API allows.
            lease_duration_seconds: Some(1),
            acquire_time: Some(MicroTime(wall)),
            renew_time: Some(MicroTime(wall)),
            ..seen.spec.clone()
        };
        self.is_ours(&seen.spec, term).then_some((version, spec))
    }

    fn leading(&self, seen: &Seen, term: &Term, now: Moment, wall: Timestamp) -> Turn {
        if !self.is_ours(&seen.spec, term) {
            let to = holder(&seen.spec).map_or_else(|| "nobody".to_owned(), str::to_owned);
            return Turn::Lost { to };
        }
        let due = term.renewed.plus(self.timing.retry_period);
        if now < due {
            return Turn::Wait(due);
        }
        if now >= seen.at.plus(self.timing.renew_deadline) {
            // This process stood still for so long that another may lead by now. Look before writing.
            return Turn::Read;
        }
        let spec = LeaseSpec { lease_duration_seconds: Some(self.lease_seconds()), renew_time: Some(MicroTime(wall)), ..seen.spec.clone() };
        Turn::Write { version: seen.version.clone(), spec }
    }

    fn waiting(&self, seen: &Seen, now: Moment, wall: Timestamp) -> Turn {
        let holder = holder(&seen.spec);
        let expires = match holder {
            Some(holder) if holder != self.identity => seen.since.plus(self.duration_of(&seen.spec)),
            // Released, or held by a process of this name: a container of this pod that has ended.
            _ => now,
        };
        if now < expires {
            return Turn::Wait(expires);
        }
        let transitions = seen.spec.lease_transitions.unwrap_or(0);
        let first = seen.version.is_none() && holder.is_none();
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(self.lease_seconds()),
            acquire_time: Some(MicroTime(wall)),
            renew_time: Some(MicroTime(wall)),
            lease_transitions: Some(if first || holder == Some(&self.identity) { transitions } else { transitions.saturating_add(1) }),
            preferred_holder: None,
            strategy: None,
        };
        Turn::Write { version: seen.version.clone(), spec }
    }

    /// Whether the Lease is what this process made of it in this term.
    fn is_ours(&self, spec: &LeaseSpec, term: &Term) -> bool {
        holder(spec) == Some(&self.identity) && spec.acquire_time == term.acquired
    }

    /// How long its holder was promised it.
    fn duration_of(&self, spec: &LeaseSpec) -> Duration {
        spec.lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map_or(self.timing.lease_duration, Duration::from_secs)
    }

    fn lease_seconds(&self) -> i32 {
        i32::try_from(self.timing.lease_duration.as_secs()).unwrap_or(i32::MAX)
    }
}

fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests;
