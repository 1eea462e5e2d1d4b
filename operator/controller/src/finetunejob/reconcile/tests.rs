use super::{next_look, rank_0};
use crate::finetunejob::attempt::SeenAttempt;
use crate::watched::{BatchJob, COMPLETION_INDEX, Pod};
use kube::runtime::controller::Action;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use temper_crds::{FineTuneJobStatus, Timestamp};
use temper_planner::plan::Situation;
use temper_planner::{Plan, Stage};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn seen(owner: &str, pods: &[Value]) -> SeenAttempt {
    let owner = json!([{ "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "name": "tiny", "uid": owner, "controller": true }]);
    SeenAttempt {
        job: Arc::new(serde_json::from_value::<BatchJob>(json!({ "metadata": { "ownerReferences": owner } })).expect("a Job")),
        pods: pods.iter().map(|pod| Arc::new(serde_json::from_value::<Pod>(pod.clone()).expect("a pod"))).collect(),
    }
}

fn pod(index: &str, phase: &str, ip: Option<&str>) -> Value {
    json!({ "metadata": { "annotations": { COMPLETION_INDEX: index } }, "status": { "phase": phase, "podIP": ip } })
}

#[test]
fn rank_0_is_in_the_running_pod_with_index_0() {
    let table = [
        (vec![pod("1", "Running", Some("10.0.0.1")), pod("0", "Running", Some("10.0.0.2"))], Some("10.0.0.2")),
        (vec![pod("0", "Running", Some("fd00::2"))], Some("fd00::2")),
        (vec![pod("0", "Pending", None), pod("1", "Running", Some("10.0.0.1"))], None),
        (vec![pod("0", "Running", None)], None),
    ];
    for (pods, wanted) in table {
        let target = rank_0(&seen("u", &pods), 3);
        assert_eq!(target.map(|target| target.address.ip().to_string()).as_deref(), wanted, "{pods:?}");
    }
}

#[test]
fn a_try_is_looked_at_more_often_while_pods_are_missing_or_going() {
    let plan = |wake_at| Plan {
        intents: Vec::new(),
        status: FineTuneJobStatus::default(),
        wake_at,
        situation: Situation::Working { stage: Stage::Train, attempt: 0 },
    };
    let calm = |_, _| Some(seen("u", &[pod("0", "Running", None)]));
    let podless = |_, _| Some(seen("u", &[]));
    let seconds = |seconds| Action::requeue(Duration::from_secs(seconds));
    assert_eq!(next_look(&plan(None), &calm, at(0)), seconds(30));
    assert_eq!(next_look(&plan(None), &podless, at(0)), seconds(5));
    assert_eq!(next_look(&plan(Some(at(12))), &calm, at(0)), seconds(12));
    let waiting = Plan { situation: Situation::Suspended, ..plan(None) };
    assert_eq!(next_look(&waiting, &calm, at(0)), Action::await_change());
}
