//! Lives that are held up: suspension, stalls, deadlines.

use crate::world::Fate::{After, Done, Ends, RestartedInPlace, Saved, Step, Suspend, Wake};
use crate::world::{World, job, life};
use serde_json::json;
use temper_crds::condition::{ConditionStatus, STALLED};
use temper_planner::Cause::{Exited, Signalled};

#[test]
fn a_suspended_job_stops_with_a_checkpoint_and_goes_on_from_it() {
    let fates = [Done, Step(5), Suspend(true), Saved(6), Ends(Exited(143)), After(3600), Suspend(false), Done];
    assert_eq!(
        life(json!({ "failurePolicy": { "maxRestarts": 0 } }), &fates)[2..],
        [
            "10s = Training",
            "10s train 0 on 1x1 from the start, 0 restarts left",
            "20s = Stopping",
            "20s stop train 0: Suspended",
            "40s = Suspended",
            "3640s = Training",
            "3640s train 1 on 1x1 from step 6, 0 restarts left",
            "3650s = Publishing",
            "3650s publish 0",
        ]
    );
}

#[test]
fn a_suspension_that_ends_in_a_kill_does_not_count() {
    let fates = [Done, Suspend(true), Ends(Signalled(9)), After(60), Suspend(false)];
    let transcript = life(json!({ "failurePolicy": { "maxRestarts": 0 } }), &fates);
    assert_eq!(transcript.last().map(String::as_str), Some("80s train 1 on 1x1 from the start, 0 restarts left"));
}

#[test]
fn a_stop_that_is_under_way_is_not_taken_back() {
    let fates = [Done, Suspend(true), Suspend(false), Ends(Exited(143)), Wake];
    assert_eq!(
        life(json!({}), &fates)[4..],
        [
            "10s = Stopping",
            "10s stop train 0: Suspended",
            "20s = BackingOff",
            "21s = Training",
            "21s train 1 on 1x1 from the start, 3 restarts left"
        ]
    );
}

#[test]
fn a_job_that_is_resized_to_what_cannot_fit_waits_for_another_size_and_loses_nothing() {
    let trainer = json!({ "resourcesPerNode": { "limits": { "memory": "2500" } } });
    let mut world = World::new(job(&json!({ "trainer": trainer })));
    world.memory_estimate = 1000;
    world.suffer_all(&[Done, Saved(6), Suspend(true), Ends(Exited(143))]);
    world.job.parallelism.num_proc_per_node = 4;
    world.suffer(Suspend(false));
    let stalled = world.condition(STALLED);
    assert_eq!((stalled.status, stalled.reason.as_str()), (ConditionStatus::True, "InsufficientMemory"));
    assert!(stalled.message.contains("trainer.numProcPerNode"), "{}", stalled.message);
    world.suffer_all(&[After(3600), Suspend(true)]);
    world.job.parallelism.num_proc_per_node = 2;
    world.suffer(Suspend(false));
    let resumed = "3630s train 1 on 1x2 from step 6, 3 restarts left";
    assert_eq!(world.transcript.last().map(String::as_str), Some(resumed), "{:?}", world.transcript);
}

#[test]
fn nothing_starts_in_a_suspended_job() {
    let mut suspended = job(&json!({}));
    suspended.suspend = true;
    let mut world = World::new(suspended);
    world.suffer(After(1000));
    assert_eq!(world.transcript, ["0s = Suspended"]);
    world.suffer(Suspend(false));
    assert_eq!(world.transcript[1..], ["1000s = Preparing", "1000s prepare 0"]);
}

#[test]
fn a_job_that_stalls_is_stopped_and_tried_again() {
    let policy = json!({ "failurePolicy": { "maxRestarts": 1, "stallTimeoutSeconds": 900 } });
    let fates = [Done, Saved(5), Wake, Ends(Signalled(9)), Wake, Step(6), Wake, Ends(Exited(143))];
    assert_eq!(
        life(policy, &fates)[3..],
        [
            "10s train 0 on 1x1 from the start, 1 restarts left",
            "980s = Stopping",
            "980s stop train 0: NoProgress",
            "990s = BackingOff",
            "992s = Training",
            "992s train 1 on 1x1 from step 5, 0 restarts left",
            "1962s = Stopping",
            "1962s stop train 1: NoProgress",
            "1972s = RestartsExhausted",
        ]
    );
}

#[test]
fn waiting_for_machines_is_no_stall() {
    let mut world = World::new(job(&json!({})));
    world.suffer_all(&[Done, After(1_000_000)]);
    assert_eq!(world.transcript.last().map(String::as_str), Some("10s train 0 on 1x1 from the start, 3 restarts left"));
    assert_eq!(world.last.wake_at, None);
}

#[test]
fn a_deadline_stops_what_runs_and_fails_the_job() {
    let fates = [Done, Saved(5), RestartedInPlace, Wake, Ends(Exited(143)), After(10)];
    assert_eq!(
        life(json!({ "activeDeadlineSeconds": 100 }), &fates)[3..],
        [
            "10s train 0 on 1x1 from the start, 3 restarts left",
            "100s = Stopping",
            "100s stop train 0: DeadlineExceeded",
            "110s = DeadlineExceeded",
        ]
    );
}

#[test]
fn a_deadline_cuts_a_wait_short_and_does_not_count_while_suspended() {
    let fates = [Done, Ends(Exited(1)), After(1), Suspend(true), After(1000), Suspend(false), Ends(Exited(1)), After(99)];
    let transcript = life(json!({ "activeDeadlineSeconds": 100 }), &fates);
    assert_eq!(
        transcript[4..],
        [
            "20s = BackingOff",
            "21s = Suspended",
            "1021s = Training",
            "1021s train 1 on 1x1 from the start, 2 restarts left",
            "1031s = BackingOff",
            "1130s = DeadlineExceeded",
        ]
    );
}
