//! What a controller asked the API server for, by the server's own audit log.

use serde::Serialize;
use std::collections::BTreeMap;
use temper_cluster_tests::ControlPlane;
use temper_cluster_tests::control_plane::AuditedRequest;

/// What a request is to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A write, of the job's status or of what is made for it.
    Write,
    /// A get or a list.
    Read,
    /// An event told.
    Event,
    /// A watch begun.
    Watch,
    /// Leader election.
    Lease,
}

/// How many requests of each kind and sort, such as `patch jobs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Tally(BTreeMap<Kind, BTreeMap<String, usize>>);

/// Everything that a user has asked for so far.
pub(crate) fn by(user: &str) -> Vec<AuditedRequest> {
    ControlPlane::shared().audit().requests(|request| request.user.username == user)
}

impl Kind {
    fn of(request: &AuditedRequest) -> Self {
        match (request.object_ref.resource.as_str(), request.verb.as_str()) {
            ("leases", _) => Self::Lease,
            (_, "watch") => Self::Watch,
            ("events", _) if request.is_write() => Self::Event,
            _ if request.is_write() => Self::Write,
            _ => Self::Read,
        }
    }
}

impl Tally {
    /// Counts requests.
    pub(crate) fn of<'a>(requests: impl IntoIterator<Item = &'a AuditedRequest>) -> Self {
        let mut tally = Self::default();
        for request in requests {
            let object = &request.object_ref;
            let slash = if object.subresource.is_empty() { "" } else { "/" };
            let what = if object.resource.is_empty() { &request.request_uri } else { &object.resource };
            let mut sort = format!("{} {what}{slash}{}", request.verb, object.subresource);
            if request.response_status.code >= 400 {
                sort.push_str(&format!(" ({})", request.response_status.code));
            }
            *tally.0.entry(Kind::of(request)).or_default().entry(sort).or_default() += 1;
        }
        tally
    }

    /// All of a kind.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.0.get(&kind).map_or(0, |sorts| sorts.values().sum())
    }

    /// The sorts of a kind with their counts.
    pub(crate) fn sorts(&self, kind: Kind) -> impl Iterator<Item = (&str, usize)> {
        self.0.get(&kind).into_iter().flatten().map(|(sort, count)| (sort.as_str(), *count))
    }

    /// Adds another's counts.
    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, sorts) in &other.0 {
            for (sort, count) in sorts {
                *self.0.entry(*kind).or_default().entry(sort.clone()).or_default() += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tally};
    use temper_cluster_tests::control_plane::{AuditedObject, AuditedRequest};

    fn request(verb: &str, resource: &str, subresource: &str) -> AuditedRequest {
        let object_ref = AuditedObject { resource: resource.to_owned(), subresource: subresource.to_owned(), ..AuditedObject::default() };
        AuditedRequest { verb: verb.to_owned(), object_ref, ..AuditedRequest::default() }
    }

    #[test]
    fn requests_are_counted_by_what_they_are_to_a_job() {
        let requests = [
            request("patch", "jobs", ""),
            request("patch", "finetunejobs", "status"),
            request("create", "events", ""),
            request("update", "leases", ""),
            request("get", "leases", ""),
            request("watch", "pods", ""),
            request("list", "pods", ""),
        ];
        let mut tally = Tally::of(&requests);
        tally.add(&Tally::of(&requests[..1]));
        let counts = [Kind::Write, Kind::Event, Kind::Lease, Kind::Watch, Kind::Read].map(|kind| tally.count(kind));
        assert_eq!(counts, [3, 1, 2, 1, 1]);
        assert_eq!(tally.sorts(Kind::Write).collect::<Vec<_>>(), [("patch finetunejobs/status", 1), ("patch jobs", 2)]);
    }
}
