//! What is told while a job is suspended or resumed, told once and to its end.

use crate::example::{complete, condition, failed, job, stalled, suspended, training, typed};
use serde_json::{Value, json};
use std::time::Duration;
use temper_cli::output::cluster::holding::{Goal, Narrator, Pods, Verdict};
use temper_cli::program::Program;
use temper_crds::FineTuneJob;

const SOON: Duration = Duration::from_secs(1);

/// The job after `spec.suspend` was changed, with the status of before or after the operator looked at it.
fn changed(suspend: bool, mut status: Value, seen: bool) -> FineTuneJob {
    status["observedGeneration"] = json!(if seen { 2 } else { 1 });
    let mut job = job("listings", status);
    job["spec"]["suspend"] = json!(suspend);
    job["metadata"]["generation"] = json!(2);
    typed(job)
}

fn stopping() -> Value {
    let mut status = training();
    let message = "attempt 1 of train is being stopped: the job is suspended";
    status["conditions"][0] = condition("Ready", "False", "10:00:01", "Stopping", message);
    status
}

#[test]
fn suspending_tells_of_the_checkpoint_and_the_pods() {
    let mut narrator = Narrator::new(&changed(true, training(), false), Goal::Suspended, Program::Temper);
    let mut look = |status: Value, seen, pods| narrator.look(Some(&changed(true, status, seen)), Pods::There(pods), SOON);
    assert_eq!(look(training(), false, 2), (vec!["2 pods are still there".to_owned()], Verdict::Wait));
    assert_eq!(look(stopping(), true, 2).0, ["Stopping: attempt 1 of train is being stopped: the job is suspended"]);
    let mut saved = stopping();
    saved["checkpoint"] = json!({ "step": 252, "uri": "pvc://checkpoints/252" });
    assert_eq!(look(saved.clone(), true, 1).0, ["checkpoint of step 252 is written: pvc://checkpoints/252", "1 pod is left"]);
    assert_eq!(look(saved, true, 1), (vec![], Verdict::Wait), "everything is told once");
    let mut held = suspended();
    held["checkpoint"] = json!({ "step": 252, "uri": "pvc://checkpoints/252" });
    assert_eq!(look(held.clone(), true, 1).1, Verdict::Wait, "a pod is left");
    let (told, verdict) = look(held, true, 0);
    assert_eq!(told, ["the pods are gone"]);
    let done = "listings is suspended at step 252 of 600 and holds no pods; temper resume listings lets it go on";
    assert_eq!(verdict, Verdict::Done(done.to_owned()));
}

#[test]
fn who_may_not_see_pods_goes_by_the_status() {
    let mut narrator = Narrator::new(&changed(true, training(), false), Goal::Suspended, Program::Temper);
    assert_eq!(narrator.look(Some(&changed(true, suspended(), true)), Pods::Unknown, SOON).1, Verdict::Wait);
    assert!(matches!(narrator.look(Some(&changed(true, suspended(), true)), Pods::Hidden, SOON).1, Verdict::Done(_)));
}

#[test]
fn an_old_status_is_not_believed_and_a_silent_operator_is_told_of_once() {
    let mut narrator = Narrator::new(&changed(true, suspended(), false), Goal::Suspended, Program::Temper);
    let mut look = |seconds| narrator.look(Some(&changed(true, suspended(), false)), Pods::There(0), Duration::from_secs(seconds));
    assert_eq!(look(1), (vec![], Verdict::Wait));
    let (told, verdict) = look(20);
    assert!(told[0].contains("the operator has not looked at the change yet") && verdict == Verdict::Wait, "{told:?}");
    assert_eq!(look(21).0, Vec::<String>::new());
}

#[test]
fn resuming_ends_when_something_runs_again() {
    let mut narrator = Narrator::new(&changed(false, suspended(), false), Goal::Going, Program::Temper);
    let mut look = |status: Value, pods| narrator.look(Some(&changed(false, status, true)), Pods::There(pods), SOON).1;
    let mut starting = training();
    starting["conditions"][4] = condition("Running", "False", "10:00:01", "NotRunning", "no training process runs at the moment");
    assert_eq!(look(starting, 0), Verdict::Wait);
    assert_eq!(look(training(), 2), Verdict::Done("listings goes on: attempt 1 trains on 2 x 4 processes, from step 250".to_owned()));
    let mut queued = training();
    queued["conditions"][0] = condition("Ready", "False", "10:00:01", "Queued", "the queue gpu has not admitted the job yet");
    assert!(matches!(look(queued, 0), Verdict::Done(said) if said.contains("waits in its queue")));
}

#[test]
fn what_cannot_come_is_not_waited_for() {
    let in_vain = |goal: Goal, job: Option<&FineTuneJob>| {
        let first = changed(goal == Goal::Suspended, training(), false);
        match Narrator::new(&first, goal, Program::Temper).look(job, Pods::There(0), SOON).1 {
            Verdict::InVain(stop) => (stop.exit.code(), stop.message),
            other => panic!("{other:?}"),
        }
    };
    let (code, message) = in_vain(Goal::Going, Some(&changed(false, failed("Diverged", "the loss was not finite"), true)));
    assert_eq!((code, message.as_str()), (4, "listings failed (Diverged): the loss was not finite"));
    let (code, message) = in_vain(Goal::Going, Some(&changed(false, stalled("VolumeUnavailable", "there is no claim"), true)));
    assert_eq!((code, message.as_str()), (7, "listings cannot go on (VolumeUnavailable): there is no claim"));
    assert!(in_vain(Goal::Suspended, Some(&changed(false, training(), true))).1.contains("somebody has set spec.suspend"));
    assert!(in_vain(Goal::Suspended, None).1.contains("was deleted"));
    let mut narrator = Narrator::new(&changed(true, training(), false), Goal::Suspended, Program::Temper);
    let done = narrator.look(Some(&changed(true, complete(), true)), Pods::There(0), SOON).1;
    assert_eq!(done, Verdict::Done("listings was complete before it could be suspended".to_owned()));
}
