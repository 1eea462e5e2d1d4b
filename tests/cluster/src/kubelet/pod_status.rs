//! Pod statuses as a kubelet writes them, in the form of strategic merge patches.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};

use super::play::End;

/// No node takes the pod.
pub(super) fn unschedulable(message: &str, now: Timestamp) -> Value {
    json!({ "status": { "conditions": [condition("PodScheduled", "False", Some(("Unschedulable", message)), now)] } })
}

/// Its containers do not start.
pub(super) fn waiting(pod: &Pod, reason: &str, message: &str, now: Timestamp) -> Value {
    let state = json!({ "waiting": { "reason": reason, "message": message } });
    let statuses: Vec<_> = containers(pod).map(|container| container_status(container, &state, false)).collect();
    json!({ "status": {
        "phase": "Pending",
        "startTime": now,
        "conditions": conditions("False", now),
        "containerStatuses": statuses,
    } })
}

/// It runs.
pub(super) fn running(pod: &Pod, address: IpAddr, host: IpAddr, now: Timestamp) -> Value {
    let state = json!({ "running": { "startedAt": now } });
    let statuses: Vec<_> = containers(pod).map(|container| container_status(container, &state, true)).collect();
    let done = json!({ "terminated": { "exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now } });
    let before: Vec<_> = init_containers(pod).map(|container| container_status(container, &done, true)).collect();
    json!({ "status": {
        "phase": "Running",
        "startTime": now,
        "hostIP": host,
        "hostIPs": [{ "ip": host }],
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "conditions": conditions("True", now),
        "initContainerStatuses": before,
        "containerStatuses": statuses,
    } })
}

/// It has ended.
pub(super) fn ended(pod: &Pod, end: &End, now: Timestamp) -> Value {
    let (code, reason, message) = match end {
        End::Exit { code: 0, message } => (0, "Completed", message.as_str()),
        End::Exit { code, message } => (*code, "Error", message.as_str()),
        End::Signal(signal) => (128 + signal, "Error", ""),
        End::OutOfMemory => (137, "OOMKilled", ""),
        End::Evicted { .. } => (137, "Error", ""),
    };
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map_or(now, |time| time.0);
    let states = |code: i32, reason: &str, message: &str| {
        json!({ "terminated":
            { "exitCode": code, "reason": reason, "message": message, "startedAt": started, "finishedAt": now } })
    };
    let (first, others) = (states(code, reason, message), states(0, "Completed", ""));
    let statuses: Vec<_> = containers(pod)
        .enumerate()
        .map(|(index, container)| container_status(container, if index == 0 { &first } else { &others }, false))
        .collect();
    let mut conditions = conditions("False", now);
    let mut status = json!({ "phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": statuses });
    if let End::Evicted { message } = end {
        conditions.push(condition("DisruptionTarget", "True", Some(("TerminationByKubelet", message.as_str())), now));
        status["reason"] = "Evicted".into();
        status["message"] = message.as_str().into();
    }
    status["conditions"] = conditions.into();
    json!({ "status": status })
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.spec.iter().flat_map(|spec| &spec.containers)
}

fn init_containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten())
}

fn container_status(container: &Container, state: &Value, ready: bool) -> Value {
    json!({
        "name": container.name,
        "image": container.image,
        "imageID": container.image,
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": state,
    })
}

/// The conditions that follow the containers.
fn conditions(ready: &str, now: Timestamp) -> Vec<Value> {
    vec![condition("Initialized", "True", None, now), condition("ContainersReady", ready, None, now), condition("Ready", ready, None, now)]
}

fn condition(kind: &str, status: &str, why: Option<(&str, &str)>, now: Timestamp) -> Value {
    let mut condition = json!({ "type": kind, "status": status, "lastTransitionTime": now });
    if let Some((reason, message)) = why {
        condition["reason"] = reason.into();
        condition["message"] = message.into();
    }
    condition
}
