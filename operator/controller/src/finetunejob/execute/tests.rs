use super::{in_place_restarts_before, superseded, told_to_stop};
use serde_json::{Value, json};
use temper_crds::FineTuneJobStatus;
use temper_planner::Observed;
use temper_planner::ledger::remembered;

fn entry(stage: &str, number: u64, rest: Value) -> Value {
    let mut entry = json!({ "stage": stage, "number": number, "startedAt": "2026-01-01T00:00:00Z" });
    for (name, value) in rest.as_object().into_iter().flatten() {
        entry[name] = value.clone();
    }
    entry
}

fn observed(attempts: Value) -> Observed {
    let status: FineTuneJobStatus = serde_json::from_value(json!({ "attempts": attempts })).expect("a status");
    Observed { training: remembered(&status).training, status, ..Observed::default() }
}

fn ended() -> Value {
    json!({ "end": "Exited", "exitCode": 1, "finishedAt": "2026-01-01T00:01:00Z", "inPlaceRestarts": 2 })
}

#[test]
fn only_tries_whose_end_is_written_and_that_are_followed_are_swept() {
    let observed = observed(json!([
        entry("prepare", 0, json!({ "end": "Succeeded" })),
        entry("train", 0, ended()),
        entry("train", 1, ended()),
        entry("train", 2, json!({})),
    ]));
    assert_eq!(superseded("tiny", &observed.status), ["tiny-a0", "tiny-a1"]);
}

#[test]
fn a_stop_is_carried_out_once_it_is_written_and_until_the_try_has_ended() {
    let told = |rest: Value| told_to_stop("tiny", &observed(json!([entry("prepare", 0, json!({})), entry("train", 0, rest)])).status);
    assert_eq!(told(json!({ "stop": "Suspended" })), ["tiny-a0"]);
    assert_eq!(told(json!({ "stop": "Suspended", "end": "Exited", "exitCode": 143 })), [""; 0]);
    assert_eq!(told(json!({})), [""; 0]);
}

#[test]
fn earlier_attempts_restarts_are_left_to_the_next_one_on_top() {
    let observed = observed(json!([entry("train", 0, ended()), entry("train", 1, ended())]));
    assert_eq!([0, 1, 2].map(|attempt| in_place_restarts_before(&observed, attempt)), [0, 2, 4]);
}
