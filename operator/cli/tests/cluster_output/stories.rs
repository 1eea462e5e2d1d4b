//! What `describe` tells.

use crate::example::{at, complete, failed, job, stalled, suspended, training, typed, version, when};
use serde_json::{Value, json};
use temper_cli::output::cluster::happening::Happening;
use temper_cli::output::cluster::next_steps::next_steps;
use temper_cli::output::cluster::{job_story, version_story};
use temper_cli::output::terminal::Terminal;
use temper_cli::program::Program;
use temper_crds::condition::reason;

fn told(job: Value, happenings: &[Happening]) -> String {
    job_story::text(&typed(job), happenings, &when(), Terminal::PLAIN, Program::Temper)
}

fn happening(time: &str, warning: bool, reason: &str, about: Option<&str>, note: &str) -> Happening {
    Happening {
        at: at(&format!("2026-03-02T{time}Z")),
        count: if warning { 4 } else { 1 },
        warning,
        reason: reason.to_owned(),
        about: about.map(str::to_owned),
        note: note.to_owned(),
    }
}

#[test]
fn a_running_job_tells_how_it_came_where_it_is() {
    let happenings = [
        happening("11:02:00", false, "Training", None, "attempt 1 trains on 2 x 4 processes"),
        happening("11:01:50", true, "AttemptEnded", None, "attempt 0 of train was interrupted"),
        happening("11:02:05", true, "FailedMount", Some("Pod/listings-a1-0-q"), "MountVolume.SetUp failed\nfor volume \"checkpoints\""),
    ];
    insta::assert_snapshot!("training", told(job("listings", training()), &happenings));
}

#[test]
fn a_complete_job_tells_what_it_came_to() {
    insta::assert_snapshot!("complete", told(job("listings", complete()), &[]));
}

#[test]
fn a_failed_job_tells_what_to_do() {
    insta::assert_snapshot!(
        "failed",
        told(job("listings", failed("RestartsExhausted", "maxRestarts (3) is used up: rank 5 lost its peers")), &[])
    );
}

#[test]
fn a_job_that_waits_for_somebody_names_what_to_look_at() {
    insta::assert_snapshot!("stalled", told(job("listings", stalled("VolumeUnavailable", "there is no claim datasets; create it")), &[]));
}

#[test]
fn a_job_that_nobody_looked_at_leads_to_the_operator() {
    insta::assert_snapshot!("unseen", told(job("listings", Value::Null), &[]));
    let mut changed = job("listings", training());
    changed["metadata"]["generation"] = json!(2);
    let text = told(changed, &[]);
    assert!(text.contains("2, of which the operator has looked at 1 so far") && text.contains("does it run?"), "{text}");
}

#[test]
fn every_state_that_needs_somebody_has_a_next_step() {
    let stalls = [
        reason::INVALID_SPEC,
        reason::VOLUME_UNAVAILABLE,
        reason::UNAVAILABLE,
        reason::IMAGE_UNAVAILABLE,
        reason::PODS_REFUSED,
        reason::FORBIDDEN,
    ];
    let ends = [
        reason::INVALID_INPUT,
        reason::DIVERGED,
        reason::RESTARTS_EXHAUSTED,
        reason::DEADLINE_EXCEEDED,
        reason::INSUFFICIENT_MEMORY,
        reason::VERSION_SKEW,
        reason::REGISTRATION_FAILED,
    ];
    let mut lines = Vec::new();
    for (word, status) in stalls.map(|word| (word, stalled(word, "..."))).into_iter().chain(ends.map(|word| (word, failed(word, "...")))) {
        let steps = next_steps(&typed(job("listings", status)), Program::Temper);
        assert!(!steps.is_empty(), "{word}");
        lines.push(format!("{word}\n{}", steps.iter().map(|step| format!("  {step}\n")).collect::<String>()));
    }
    insta::assert_snapshot!("next_steps", lines.concat());
}

#[test]
fn commands_are_those_of_the_program_that_was_called() {
    let steps = next_steps(&typed(job("listings", suspended())), Program::KubectlPlugin);
    assert_eq!(steps, ["kubectl temper resume listings -n ml"]);
    assert_eq!(next_steps(&typed(job("listings", training())), Program::Temper), ["temper logs listings -n ml -f"]);
}

#[test]
fn a_version_tells_what_it_is_made_of() {
    let version = serde_json::from_value(version()).expect("a version");
    insta::assert_snapshot!("version", version_story::text(&version, &[], &when(), Terminal::PLAIN));
}
