//! What a kubelet does next about a pod: a pure decision, taken anew at every change.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::play::{End, Play, Start};

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing until something changes.
    Wait,
    /// Nothing until something changes or this time comes.
    WaitUntil(Timestamp),
    /// Report that no node takes the pod.
    ReportUnschedulable(String),
    /// Give the pod to a node.
    Bind,
    /// Report why its container does not start.
    ReportWaiting(String, String),
    /// Report that it runs.
    ReportRunning,
    /// Report how it ended.
    ReportEnded(End),
    /// It has ended and is to be deleted: nothing holds it on the node any more.
    Remove,
}

/// Decides. `ordered` is how the test ends the pod, `lost` whether its node is silent.
pub(super) fn next(pod: &Pod, play: &Play, ordered: Option<&End>, lost: bool, now: Timestamp) -> Step {
    let deletion = pod.metadata.deletion_timestamp.as_ref();
    if node_name(pod).is_none() {
        return unbound(pod, play, deletion.is_some());
    }
    if lost {
        return Step::Wait;
    }
    let phase = phase(pod);
    if matches!(phase, "Succeeded" | "Failed") {
        return if deletion.is_some() { Step::Remove } else { Step::Wait };
    }
    if let Some(end) = ordered {
        return Step::ReportEnded(end.clone());
    }
    if let Some(deletion) = deletion {
        // The deletion time is when the grace period ends, cut to whole seconds.
        let grace_ends = deletion.0 + SignedDuration::from_secs(1);
        let has_grace = phase == "Running" && pod.metadata.deletion_grace_period_seconds != Some(0);
        return match &play.stopped {
            Some(end) if has_grace => Step::ReportEnded(end.clone()),
            None if has_grace && now < grace_ends => Step::WaitUntil(grace_ends),
            _ => Step::ReportEnded(End::Signal(9)),
        };
    }
    match (&play.start, &play.then) {
        (Start::Waits { reason, .. }, _) if is_waiting(pod, reason) => Step::Wait,
        (Start::Waits { reason, message }, _) => Step::ReportWaiting(reason.clone(), message.clone()),
        _ if phase != "Running" => Step::ReportRunning,
        (_, Some(end)) => Step::ReportEnded(end.clone()),
        (_, None) => Step::Wait,
    }
}

/// A pod without a node: the scheduler's work. One that is deleted before it has a node is the API server's and the pod garbage
/// collector's.
fn unbound(pod: &Pod, play: &Play, deleted: bool) -> Step {
    let gated = pod.spec.as_ref().is_some_and(|spec| spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()));
    match &play.start {
        _ if deleted || gated => Step::Wait,
        Start::Unschedulable { .. } if has_condition(pod, "PodScheduled", "False") => Step::Wait,
        Start::Unschedulable { message } => Step::ReportUnschedulable(message.clone()),
        _ => Step::Bind,
    }
}

/// The node that a pod is on.
pub(super) fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref())
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

fn has_condition(pod: &Pod, kind: &str, value: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == kind && condition.status == value)
}

fn is_waiting(pod: &Pod, reason: &str) -> bool {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let reasons = containers.iter().filter_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
    reasons.into_iter().any(|waiting| waiting == reason)
}

#[cfg(test)]
mod tests {
    use super::{Step, next};
    use crate::kubelet::play::{End, Play};
    use jiff::{SignedDuration, Timestamp};
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).expect("a pod")
    }

    fn bound(phase: &str) -> Value {
        json!({"metadata": {}, "spec": {"nodeName": "n", "containers": []}, "status": {"phase": phase}})
    }

    #[test]
    fn a_pod_is_bound_runs_ends_and_is_removed_once_deleted() {
        let now = Timestamp::UNIX_EPOCH;
        let play = Play::succeeds("done");
        let done = End::exit(0, "done");
        assert_eq!(next(&pod(json!({"metadata": {}})), &play, None, false, now), Step::Bind);
        assert_eq!(next(&pod(bound("Pending")), &play, None, false, now), Step::ReportRunning);
        assert_eq!(next(&pod(bound("Running")), &play, None, false, now), Step::ReportEnded(done));
        assert_eq!(next(&pod(bound("Succeeded")), &play, None, false, now), Step::Wait);
        let mut deleted = bound("Succeeded");
        deleted["metadata"]["deletionTimestamp"] = json!(now);
        assert_eq!(next(&pod(deleted), &play, None, false, now), Step::Remove);
    }

    #[test]
    fn a_stopped_pod_has_its_grace_period_unless_it_never_ran() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now + SignedDuration::from_secs(30);
        let ends = later + SignedDuration::from_secs(1);
        let deleted = |phase: &str| {
            let mut value = bound(phase);
            value["metadata"]["deletionTimestamp"] = json!(later);
            pod(value)
        };
        let stubborn = Play::runs().ignoring_stop();
        assert_eq!(next(&deleted("Running"), &Play::runs(), None, false, now), Step::ReportEnded(End::exit(143, "")));
        assert_eq!(next(&deleted("Running"), &stubborn, None, false, now), Step::WaitUntil(ends));
        assert_eq!(next(&deleted("Running"), &stubborn, None, false, ends), Step::ReportEnded(End::Signal(9)));
        assert_eq!(next(&deleted("Pending"), &stubborn, None, false, now), Step::ReportEnded(End::Signal(9)));
        let mut at_once = deleted("Running");
        at_once.metadata.deletion_grace_period_seconds = Some(0);
        assert_eq!(next(&at_once, &Play::runs(), None, false, now), Step::ReportEnded(End::Signal(9)));
        assert_eq!(next(&deleted("Running"), &Play::runs(), None, true, ends), Step::Wait, "a lost node answers nothing");
    }

    #[test]
    fn what_cannot_start_is_reported_once() {
        let now = Timestamp::UNIX_EPOCH;
        let nowhere = Play::unschedulable("no GPUs");
        assert_eq!(next(&pod(json!({"metadata": {}})), &nowhere, None, false, now), Step::ReportUnschedulable("no GPUs".into()));
        let told = json!({"metadata": {}, "status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}});
        assert_eq!(next(&pod(told), &nowhere, None, false, now), Step::Wait);
        let gated = json!({"metadata": {}, "spec": {"containers": [], "schedulingGates": [{"name": "queue"}]}});
        assert_eq!(next(&pod(gated), &Play::runs(), None, false, now), Step::Wait);

        let missing = Play::waits("ImagePullBackOff", "not found");
        let reported = Step::ReportWaiting("ImagePullBackOff".into(), "not found".into());
        assert_eq!(next(&pod(bound("Pending")), &missing, None, false, now), reported);
        let mut told = bound("Pending");
        told["status"]["containerStatuses"] = json!([{"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff"}}}]);
        assert_eq!(next(&pod(told), &missing, None, false, now), Step::Wait);
    }
}
