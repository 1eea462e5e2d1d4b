use super::{PODLESS_AFTER_SECONDS, obstacle};
use crate::finetunejob::attempt::SeenAttempt;
use crate::watched::{BatchJob, Pod};
use serde_json::{Value, json};
use std::sync::Arc;
use temper_crds::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn seen(suspend: bool, pods: &[Value]) -> SeenAttempt {
    let job = json!({ "metadata": { "name": "tiny-a0", "creationTimestamp": at(0).to_string() }, "spec": { "suspend": suspend } });
    SeenAttempt {
        job: Arc::new(serde_json::from_value::<BatchJob>(job).expect("a Job")),
        pods: pods.iter().map(|pod| Arc::new(serde_json::from_value::<Pod>(pod.clone()).expect("a pod"))).collect(),
    }
}

fn waiting(reason: &str) -> Value {
    let state = json!({ "waiting": { "reason": reason, "message": "because" } });
    json!({ "metadata": { "name": "p" }, "status": { "phase": "Pending", "containerStatuses": [{ "name": "trainer", "state": state }] } })
}

fn unschedulable(message: &str) -> Value {
    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message });
    json!({ "metadata": { "name": "p" }, "status": { "phase": "Pending", "conditions": [condition] } })
}

#[test]
fn each_obstacle_has_its_name_and_says_who_can_help() {
    let table = [
        (waiting("ImagePullBackOff"), Some(("ImageUnavailable", true))),
        (waiting("ErrImageNeverPull"), Some(("ImageUnavailable", true))),
        (waiting("CreateContainerConfigError"), Some(("Unavailable", true))),
        (waiting("ContainerCreating"), None),
        (unschedulable("persistentvolumeclaim \"ckpts\" not found"), Some(("VolumeUnavailable", true))),
        (unschedulable("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."), Some(("VolumeUnavailable", true))),
        (unschedulable("0/2 nodes are available: 2 Insufficient nvidia.com/gpu."), Some(("Unschedulable", false))),
        (json!({ "metadata": { "name": "p" }, "status": { "phase": "Running" } }), None),
    ];
    for (pod, wanted) in table {
        let found = obstacle(&seen(false, std::slice::from_ref(&pod)), None, at(1000));
        assert_eq!(found.as_ref().map(|found| (found.reason, found.needs_a_person)), wanted, "{pod}");
        if let Some(found) = found {
            assert!(found.message.contains("pod p"), "{}", found.message);
        }
    }
}

#[test]
fn a_queue_is_no_fault_and_a_job_without_pods_is_one_after_a_while() {
    assert_eq!(obstacle(&seen(true, &[]), None, at(1000)).map(|found| (found.reason, found.needs_a_person)), Some(("Queued", false)));
    assert_eq!(obstacle(&seen(false, &[]), None, at(PODLESS_AFTER_SECONDS - 1)), None);
    let found = obstacle(&seen(false, &[]), Some("exceeded quota: gpus"), at(PODLESS_AFTER_SECONDS)).expect("in the way");
    assert!(found.needs_a_person && found.message.contains("exceeded quota: gpus"), "{}", found.message);
}
