use super::{Fate, LOST_AFTER_SECONDS, SeenAttempt};
use crate::watched::{BatchJob, Pod};
use serde_json::{Value, json};
use std::sync::Arc;
use temper_contract::report::{ArtifactFormat, PublishReport};
use temper_contract::{ExitCode, StageReport, TerminationMessage};
use temper_crds::Timestamp;
use temper_planner::Cause;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// A Job with this condition; `Going` stands for one that is being deleted.
pub(crate) fn job(condition: &str) -> Arc<BatchJob> {
    let deletion = (condition == "Going").then(|| at(90).to_string());
    let conditions = if condition.is_empty() { json!([]) } else { json!([{ "type": condition, "status": "True" }]) };
    let job = json!({
        "metadata": { "name": "tiny-a0", "uid": "j", "creationTimestamp": at(0).to_string(), "deletionTimestamp": deletion },
        "status": { "conditions": conditions },
    });
    Arc::new(serde_json::from_value(job).expect("a Job"))
}

/// A pod whose container ended so, at this second.
pub(crate) fn ended(name: &str, exit_code: i32, message: &str, second: i64) -> Value {
    let reason = if exit_code == 0 { "Completed" } else { "Error" };
    let terminated = json!({ "exitCode": exit_code, "reason": reason, "message": message, "finishedAt": at(second).to_string() });
    json!({
        "metadata": { "name": name },
        "status": {
            "phase": if exit_code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": [{ "name": "trainer", "state": { "terminated": terminated } }],
        },
    })
}

pub(crate) fn running(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "status": { "phase": "Running", "podIP": "10.0.0.1" } })
}

fn with(mut pod: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    pod.pointer_mut(parent).expect("the parent is there")[name] = value;
    pod
}

pub(crate) fn seen(condition: &str, pods: Vec<Value>) -> SeenAttempt {
    let pods = pods.into_iter().map(|pod| Arc::new(serde_json::from_value::<Pod>(pod).expect("a pod")));
    SeenAttempt { job: job(condition), pods: pods.collect() }
}

fn cause(seen: &SeenAttempt, second: i64) -> Option<(Cause, Option<String>)> {
    match seen.fate(at(second)) {
        Fate::Ended { end, .. } => Some((end.cause, end.pod)),
        _ => None,
    }
}

fn word(reason: ExitCode) -> String {
    TerminationMessage::new(reason, "said so", "").to_json()
}

#[test]
fn a_job_goes_on_until_it_is_given_up_and_its_pods_are_over() {
    assert_eq!(seen("", vec![]).fate(at(5)), Fate::Running);
    assert_eq!(seen("", vec![running("a"), ended("b", 1, "", 10)]).fate(at(11)), Fate::Running, "the Job controller decides");
    assert_eq!(seen("FailureTarget", vec![running("a"), ended("b", 1, "", 10)]).fate(at(11)), Fate::Running, "a still ends");
    let over = seen("FailureTarget", vec![ended("a", 143, "", 12), ended("b", 1, "", 10)]);
    assert_eq!(cause(&over, 12), Some((Cause::Exited(1), Some("b".to_owned()))));
}

#[test]
fn the_end_that_explains_the_others_counts() {
    let table = [
        (vec![(13, ExitCode::PeerLost), (137, ExitCode::Unexpected)], Cause::Exited(137)),
        (vec![(143, ExitCode::Terminated), (13, ExitCode::PeerLost)], Cause::Exited(13)),
        (vec![(1, ExitCode::Unexpected), (10, ExitCode::InvalidInput)], Cause::Exited(10)),
        (vec![(143, ExitCode::Terminated), (143, ExitCode::Terminated)], Cause::Exited(143)),
    ];
    for (ends, wanted) in table {
        let pods = ends.iter().enumerate().map(|(index, (code, reason))| ended(&format!("p{index}"), *code, &word(*reason), 10)).collect();
        let seen = seen("Failed", pods);
        assert_eq!(cause(&seen, 12).map(|(cause, _)| cause), Some(wanted), "{ends:?}");
    }
}

#[test]
fn out_of_memory_and_disruption_are_told_apart_from_exits() {
    let oom = with(ended("a", 137, "", 10), "/status/containerStatuses/0/state/terminated/reason", json!("OOMKilled"));
    assert_eq!(cause(&seen("Failed", vec![oom]), 12).map(|(cause, _)| cause), Some(Cause::OutOfMemory));
    let drained = with(ended("a", 143, "", 10), "/status/conditions", json!([{ "type": "DisruptionTarget", "status": "True" }]));
    assert_eq!(cause(&seen("Failed", vec![drained, ended("b", 13, "", 9)]), 12).map(|(cause, _)| cause), Some(Cause::Interrupted));
    let evicted = json!({ "metadata": { "name": "a" }, "status": { "phase": "Failed", "reason": "Evicted" } });
    assert_eq!(cause(&seen("Failed", vec![evicted]), 12).map(|(cause, _)| cause), Some(Cause::Interrupted));
    assert_eq!(cause(&seen("Failed", vec![]), 12).map(|(cause, _)| cause), Some(Cause::Interrupted), "its pods are gone");
}

#[test]
fn a_pod_on_a_lost_machine_is_waited_for_no_longer_than_needed() {
    let going = |pod| with(pod, "/metadata/deletionTimestamp", json!(at(100).to_string()));
    let slow = seen("", vec![going(running("a")), running("b")]);
    assert!(!slow.is_to_be_abandoned(at(100)), "it is within its grace period");
    assert!(slow.is_to_be_abandoned(at(100 + LOST_AFTER_SECONDS)));
    let conditions = json!([{ "type": "Ready", "status": "False" }, { "type": "ContainersReady", "status": "True" }]);
    let silent = with(going(running("a")), "/status/conditions", conditions);
    let abandoned = seen("", vec![silent.clone(), running("b")]);
    assert!(abandoned.is_to_be_abandoned(at(50)), "the node controller says that the machine is silent");
    assert_eq!(abandoned.fate(at(50)), Fate::Running, "b must end first: it holds an accelerator");
    let ending = seen("Going", vec![silent, ended("b", 143, "", 60)]);
    assert!(!ending.is_to_be_abandoned(at(61)), "it is being deleted already");
    assert_eq!(cause(&ending, 61), Some((Cause::Interrupted, Some("a".to_owned()))));
}

#[test]
fn a_report_makes_success_and_a_lost_report_another_try() {
    let report = StageReport::Published(PublishReport {
        path: "/out".to_owned(),
        format: ArtifactFormat::PeftAdapter,
        digest: "sha256:1".to_owned(),
        files: [].into(),
    });
    let done = seen("Complete", vec![ended("a", 0, &report.to_json(), 30)]);
    assert_eq!(done.fate(at(99)), Fate::Done { report: Box::new(report), at: at(30) });
    assert_eq!(cause(&seen("Complete", vec![]), 99).map(|(cause, _)| cause), Some(Cause::Interrupted));
}

#[test]
fn restarts_in_place_are_read_from_last_words() {
    let message = TerminationMessage { in_place_restarts: Some(4), ..TerminationMessage::new(ExitCode::PeerLost, "x", "") };
    assert_eq!(seen("Failed", vec![ended("a", 13, &message.to_json(), 10), ended("b", 13, "", 10)]).in_place_restarts(), Some(4));
    assert_eq!(seen("Failed", vec![ended("a", 1, "Killed", 10)]).in_place_restarts(), None);
}

#[test]
fn a_job_that_succeeded_is_waited_for_until_its_pods_are_seen_to_have_ended() {
    let behind = seen("Complete", vec![running("p-0"), ended("p-1", 0, "", 50)]);
    assert_eq!(behind.fate(at(60)), Fate::Running, "the last word is still to come");
    let silent = seen("Complete", vec![ended("p-0", 0, "", 50), ended("p-1", 0, "", 50)]);
    assert!(matches!(silent.fate(at(60)), Fate::Ended { .. }), "nothing is to come any more");
}

#[test]
fn a_try_lacks_pods_when_one_gives_up_waiting_for_another_that_has_not_started() {
    let pending = || json!({ "metadata": { "name": "b" }, "status": { "phase": "Pending" } });
    let gave_up = |code| ended("a", code, &word(ExitCode::Rendezvous), 10);
    assert!(seen("", vec![gave_up(14), pending()]).lacks_pods());
    assert!(!seen("", vec![running("a"), pending()]).lacks_pods(), "it may come yet");
    assert!(!seen("", vec![gave_up(14), running("b")]).lacks_pods(), "they could not reach each other");
    assert!(!seen("", vec![gave_up(1), pending()]).lacks_pods(), "it failed by itself");
    assert!(!seen("Going", vec![gave_up(14), pending()]).lacks_pods());
}

#[test]
fn the_end_of_a_log_speaks_for_a_process_that_left_no_word() {
    let said = |message: &str| match seen("Failed", vec![ended("a", 139, message, 10)]).fate(at(12)) {
        Fate::Ended { end, .. } => end.sentence(),
        other => panic!("{other:?}"),
    };
    let long = "x".repeat(4000);
    assert_eq!(said("one\n\ntwo\nthree\nfour\n"), "the process was ended by signal 11; see its log; it last said: two | three | four");
    assert!(said(&long).len() < 500);
    assert_eq!(said(" \n"), "the process was ended by signal 11; see its log");
}
