use super::{Find, Seen, doubt, observed};
use crate::finetunejob::attempt::SeenAttempt;
use crate::finetunejob::scrape::Scraped;
use crate::watched::{BatchJob, Pod};
use serde_json::{Value, json};
use std::sync::Arc;
use temper_contract::report::{DatasetCounts, Parameters, PrepareReport, TrainReport};
use temper_contract::{ExitCode, StageReport, TerminationMessage};
use temper_crds::{FineTuneJob, Timestamp};
use temper_planner::observed::State;
use temper_planner::{Cause, Observed, Progress, Registration, Stage};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn job(status: Value) -> FineTuneJob {
    let job = json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob",
        "metadata": { "name": "tiny", "namespace": "ml", "uid": "u", "creationTimestamp": at(1).to_string() },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny" }, "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
            "method": { "type": "full" }, "hyperparameters": { "maxSteps": 60 },
        },
        "status": status,
    });
    serde_json::from_value(job).expect("a job")
}

/// A Job in a condition, with one pod that ended so (or runs).
fn seen(condition: &str, end: Option<(i32, String)>) -> SeenAttempt {
    let conditions = if condition.is_empty() { json!([]) } else { json!([{ "type": condition, "status": "True" }]) };
    let batch = json!({ "metadata": { "name": "x", "creationTimestamp": at(5).to_string() }, "status": { "conditions": conditions } });
    let pod = match end {
        None => json!({ "metadata": { "name": "p" }, "status": { "phase": "Running" } }),
        Some((code, message)) => {
            let terminated = json!({ "exitCode": code, "message": message, "finishedAt": at(20).to_string() });
            let phase = if code == 0 { "Succeeded" } else { "Failed" };
            json!({ "metadata": { "name": "p" }, "status": { "phase": phase, "containerStatuses": [{ "name": "trainer", "state": { "terminated": terminated } }] } })
        }
    };
    SeenAttempt {
        job: Arc::new(serde_json::from_value::<BatchJob>(batch).expect("a Job")),
        pods: vec![Arc::new(serde_json::from_value::<Pod>(pod).expect("a pod"))],
    }
}

fn prepared() -> String {
    StageReport::Prepared(PrepareReport {
        counts: DatasetCounts { rows: 10, accepted: 9, tokens: 90, ..DatasetCounts::default() },
        digest: format!("sha256:{:064}", 1),
        chat_template_digest: None,
        base_model_digest: format!("sha256:{:064}", 2),
        parameters: Parameters { total: 100, trainable: 10 },
        memory_estimate_bytes: 1000,
        seconds: 1.0,
    })
    .to_json()
}

fn look(status: Value, find: Find<'_>, scraped: Option<&Scraped>) -> Observed {
    let seen = Seen {
        find,
        scraped,
        registration: Registration::Pending,
        refusal: None,
        freed: false,
        device_memory: None,
        checkpoint_uri: &|attempt, step| format!("pvc://c/{attempt}/{step}"),
        model_uri: "pvc://models/out",
    };
    observed(&job(status), &seen, at(100))
}

fn attempt(stage: &str, number: u64, end: Value) -> Value {
    let mut entry = json!({ "stage": stage, "number": number, "startedAt": at(5).to_string() });
    for (name, value) in end.as_object().into_iter().flatten() {
        entry[name] = value.clone();
    }
    entry
}

#[test]
fn a_job_that_was_made_and_not_written_down_is_found() {
    let find = |stage, number| (stage == Stage::Prepare && number == 0).then(|| seen("", None));
    let observed = look(json!({}), &find, None);
    assert_eq!(observed.prepare.len(), 1);
    assert!(observed.prepare[0].is_running());
    assert_eq!((observed.prepare[0].started_at, observed.active_since), (at(5), Some(at(1))));
}

#[test]
fn a_finished_prepare_is_read_from_its_pod_and_later_from_the_status_alone() {
    let find = |stage, number| (stage == Stage::Prepare && number == 0).then(|| seen("Complete", Some((0, prepared()))));
    let observed = look(json!({}), &find, None);
    let report = observed.prepare[0].report().expect("done").clone();
    let status = temper_planner::plan(
        &temper_planner::validate(&job(json!({})), temper_planner::Capabilities::CLUSTER).expect("valid"),
        &observed,
        at(100),
    )
    .status;
    let remembered = look(serde_json::to_value(&status).expect("plain data"), &|_, _| None, None);
    let again = remembered.prepare[0].report().expect("still done");
    assert_eq!((&again.counts.rows, &again.base_model_digest, again.parameters), (&10, &report.base_model_digest, report.parameters));
}

#[test]
fn a_running_try_whose_job_is_gone_is_doubted_and_then_interrupted() {
    let status = json!({ "attempts": [attempt("prepare", 0, json!({}))] });
    assert_eq!(doubt(job(status.clone()).status.as_ref().expect("there"), &|_, _| None), Some((Stage::Prepare, 0)));
    let observed = look(status, &|_, _| None, None);
    let State::Failed { end, at: ended } = &observed.prepare[0].state else { panic!("interrupted") };
    assert_eq!((end.cause, *ended), (Cause::Interrupted, at(100)));
}

#[test]
fn restarts_in_place_are_those_of_the_attempt_alone() {
    let end = json!({ "finishedAt": at(9).to_string(), "end": "Exited", "exitCode": 1, "inPlaceRestarts": 2 });
    let status = json!({ "attempts": [attempt("train", 0, end), attempt("train", 1, json!({}))] });
    let message = TerminationMessage { in_place_restarts: Some(5), ..TerminationMessage::new(ExitCode::PeerLost, "x", "") };
    let find = |stage, number| (stage == Stage::Train && number == 1).then(|| seen("Failed", Some((13, message.to_json()))));
    let observed = look(status, &find, None);
    assert_eq!(observed.training.iter().map(|training| training.in_place_restarts).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn what_trainers_say_belongs_to_the_attempt_that_runs() {
    let status = json!({ "attempts": [attempt("train", 0, json!({}))], "checkpoint": { "step": 2, "uri": "old" } });
    let find = |stage, number| (stage == Stage::Train && number == 0).then(|| seen("", None));
    let mut scraped = Scraped {
        attempt: 0,
        progress: Progress::started(at(50), 60),
        last_progress: at(60),
        got_on_at: None,
        in_place_restarts: 1,
        checkpoint_step: Some(4),
        checkpoint_attempt: 0,
    };
    let observed = look(status.clone(), &find, Some(&scraped));
    assert_eq!(observed.checkpoint.as_ref().map(|checkpoint| checkpoint.uri.as_str()), Some("pvc://c/0/4"));
    assert_eq!((observed.training[0].last_progress, observed.training[0].in_place_restarts), (Some(at(60)), 1));
    assert!(observed.progress.is_some());
    scraped.attempt = 7;
    let observed = look(status, &find, Some(&scraped));
    assert_eq!(observed.checkpoint.map(|checkpoint| checkpoint.uri).as_deref(), Some("old"));
    assert_eq!((observed.progress, observed.training[0].last_progress), (None, None));
}

#[test]
fn the_checkpoint_that_training_ended_with_is_read_from_its_report() {
    let report = StageReport::Trained(TrainReport {
        step: 60,
        total_steps: 60,
        reason: "complete".to_owned(),
        checkpoint: "/volumes/run/checkpoints/attempt-1/step-00000060".to_owned(),
        parameters: Parameters { total: 100, trainable: 10 },
        training_loss: 0.5,
        validation: None,
        tokens: 1000,
        tokens_per_second: 10.0,
        seconds: 100.0,
        evaluation_seconds: 0.0,
        restarts: 0,
        peak_memory_bytes: 1000,
    });
    let status = json!({ "attempts": [attempt("train", 0, json!({}))], "checkpoint": { "step": 40, "uri": "pvc://c/1/40" } });
    let find = |stage, number| (stage == Stage::Train && number == 0).then(|| seen("Complete", Some((0, report.to_json()))));
    let checkpoint = look(status, &find, None).checkpoint.expect("there is one");
    assert_eq!((checkpoint.attempt, checkpoint.step, checkpoint.uri.as_str()), (1, 60, "pvc://c/1/60"));
}

#[test]
fn a_try_that_ended_unseen_keeps_its_last_word_when_the_next_one_is_there_already() {
    let said = TerminationMessage { in_place_restarts: Some(2), ..TerminationMessage::new(ExitCode::PeerLost, "a peer is gone", "") };
    let find = |stage, number| match (stage, number) {
        (Stage::Train, 0) => Some(seen("Failed", Some((ExitCode::PeerLost.code().into(), said.to_json())))),
        (Stage::Train, 1) => Some(seen("", None)),
        _ => None,
    };
    let status =
        json!({ "attempts": [attempt("prepare", 0, json!({ "end": "Succeeded", "exitCode": 0 })), attempt("train", 0, json!({}))] });
    let observed = look(status, &find, None);
    let told: Vec<_> = observed.training.iter().map(|training| (training.attempt.is_running(), training.in_place_restarts)).collect();
    assert_eq!(told, [(false, 2), (true, 0)]);
}
