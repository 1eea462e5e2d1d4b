//! The rules of kstatus (sigs.k8s.io/cli-utils), by which Flux, kpt and others tell how a custom resource is.

use serde_json::Value;

/// What kstatus calls a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kstatus {
    /// As it should be.
    Current,
    /// On the way there.
    InProgress,
    /// It will not get there.
    Failed,
    /// Being deleted.
    Terminating,
}

/// `status.Compute` for a kind that kstatus does not know.
pub(crate) fn kstatus(object: &Value) -> Kstatus {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Kstatus::Terminating;
    }
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return Kstatus::InProgress;
    }
    let conditions = || object["status"]["conditions"].as_array().into_iter().flatten();
    // The first of the two that holds, in the order in which they stand.
    for condition in conditions().filter(|condition| condition["status"] == "True") {
        match condition["type"].as_str() {
            Some("Reconciling") => return Kstatus::InProgress,
            Some("Stalled") => return Kstatus::Failed,
            _ => {}
        }
    }
    match conditions().find(|condition| condition["type"] == "Ready") {
        Some(ready) if ready["status"] == "True" => Kstatus::Current,
        Some(_) => Kstatus::InProgress,
        None => Kstatus::Current,
    }
}
