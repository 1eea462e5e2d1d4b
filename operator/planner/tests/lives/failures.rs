//! Lives with failures: restarts, their limit, and what is never tried again.

use crate::world::Fate::{Done, Ends, Registers, RestartedInPlace, Retried, Saved, Step, Suspend, Wake};
use crate::world::{World, job, life};
use serde_json::json;
use temper_planner::Cause::{Exited, Interrupted, OutOfMemory, Signalled};
use temper_planner::{Intent, Outcome, Situation};

/// The transcript from the first training attempt on.
fn training(transcript: &[String]) -> &[String] {
    let first = transcript.iter().position(|line| line.contains(" train 0")).expect("it trained");
    &transcript[first..]
}

#[test]
fn a_crash_is_followed_by_an_attempt_from_the_checkpoint() {
    let transcript = life(json!({}), &[Done, Saved(20), Step(25), Ends(Exited(1)), Wake, Saved(60), Done]);
    assert_eq!(
        training(&transcript),
        [
            "10s train 0 on 1x1 from the start, 3 restarts left",
            "40s = BackingOff",
            "42s = Training",
            "42s train 1 on 1x1 from step 20, 2 restarts left",
            "62s = Publishing",
            "62s publish 0",
        ]
    );
}

#[test]
fn sigterm_and_lost_machines_do_not_count() {
    let fates = [Done, Saved(20), Ends(Exited(143)), Wake, Saved(30), Ends(Interrupted), Wake, Ends(Signalled(15)), Wake];
    let transcript = life(json!({ "failurePolicy": { "maxRestarts": 0 } }), &fates);
    assert_eq!(
        training(&transcript),
        [
            "10s train 0 on 1x1 from the start, 0 restarts left",
            "30s = BackingOff",
            "31s = Training",
            "31s train 1 on 1x1 from step 20, 0 restarts left",
            "51s = BackingOff",
            "52s = Training",
            "52s train 2 on 1x1 from step 30, 0 restarts left",
            "62s = BackingOff",
            "63s = Training",
            "63s train 3 on 1x1 from step 30, 0 restarts left",
        ]
    );
}

#[test]
fn out_of_memory_is_tried_again_until_the_restarts_are_used_up() {
    let fates = [Done, Ends(OutOfMemory), Wake, Ends(Exited(137)), Wake, Ends(Signalled(9))];
    let transcript = life(json!({ "failurePolicy": { "maxRestarts": 2 } }), &fates);
    assert_eq!(
        training(&transcript),
        [
            "10s train 0 on 1x1 from the start, 2 restarts left",
            "20s = BackingOff",
            "22s = Training",
            "22s train 1 on 1x1 from the start, 1 restarts left",
            "32s = BackingOff",
            "36s = Training",
            "36s train 2 on 1x1 from the start, 0 restarts left",
            "46s = RestartsExhausted",
        ]
    );
}

#[test]
fn in_place_restarts_draw_on_the_same_budget() {
    let fates = [Done, Step(1), RestartedInPlace, RestartedInPlace, Ends(Exited(13)), Wake, Ends(Exited(13))];
    let mut world = World::new(job(&json!({})));
    world.suffer_all(&fates);
    assert_eq!(
        training(&world.transcript),
        [
            "10s train 0 on 1x1 from the start, 3 restarts left",
            "30s = BackingOff",
            "32s = Training",
            "32s train 1 on 1x1 from the start, 0 restarts left",
            "42s = RestartsExhausted",
        ]
    );
    assert_eq!(world.last.status.restarts, 3);
    let failure = world.last.status.last_failure.as_ref().expect("it failed");
    assert_eq!((failure.reason.as_str(), failure.exit_code), ("PeerLost", Some(13)));
}

#[test]
fn an_attempts_own_restarts_do_not_change_what_it_was_given() {
    let mut world = World::new(job(&json!({})));
    world.suffer_all(&[Done, Step(1), RestartedInPlace, RestartedInPlace]);
    assert!(matches!(world.last.intents[..], [Intent::EnsureTrainers { attempt: 0, restarts_left: 3, .. }]), "{:?}", world.last.intents);
}

#[test]
fn wrong_input_and_divergence_end_the_job_at_once() {
    for (code, reason) in [(10, "InvalidInput"), (11, "Diverged"), (15, "RestartsExhausted"), (2, "VersionSkew")] {
        let transcript = life(json!({}), &[Done, Ends(Exited(code)), Wake, Wake]);
        assert_eq!(training(&transcript)[1..], [format!("20s = {reason}")]);
    }
    assert_eq!(life(json!({}), &[Ends(Exited(10)), Wake]), ["0s = Preparing", "0s prepare 0", "10s = InvalidInput"]);
}

#[test]
fn every_stage_may_fail_and_draws_on_the_same_budget() {
    let fates = [Ends(Exited(12)), Wake, Done, Done, Ends(Exited(12)), Wake, Ends(Exited(1))];
    let transcript = life(json!({ "failurePolicy": { "maxRestarts": 2 } }), &fates);
    assert_eq!(
        transcript,
        [
            "0s = Preparing",
            "0s prepare 0",
            "10s = BackingOff",
            "12s = Preparing",
            "12s prepare 1",
            "22s = Training",
            "22s train 0 on 1x1 from the start, 1 restarts left",
            "32s = Publishing",
            "32s publish 0",
            "42s = BackingOff",
            "46s = Publishing",
            "46s publish 1",
            "56s = RestartsExhausted",
        ]
    );
}

#[test]
fn a_failed_job_stays_failed_until_a_person_asks_for_another_try() {
    let mut world = World::new(job(&json!({ "failurePolicy": { "maxRestarts": 0 } })));
    world.suffer_all(&[Done, Saved(20), Ends(Exited(1)), Wake]);
    assert_eq!(world.last.outcome(), Some(Outcome::Failed));
    for later in [Done, Suspend(true), Suspend(false), Wake] {
        world.suffer(later);
        assert_eq!(world.last.outcome(), Some(Outcome::Failed), "{later:?}");
    }
    world.suffer(Retried);
    assert_eq!(world.transcript.last().map(String::as_str), Some("40s train 1 on 1x1 from step 20, 0 restarts left"));
    world.suffer_all(&[Done, Done, Registers(true)]);
    assert_eq!(world.last.outcome(), Some(Outcome::Complete));
}

#[test]
fn a_refused_registration_fails_the_job_and_says_why() {
    let mut world = World::new(job(&json!({})));
    world.suffer_all(&[Done, Done, Done, Registers(false)]);
    let Situation::Failed { reason, message } = &world.last.situation else { panic!("{:?}", world.last.situation) };
    assert_eq!((reason.as_str(), message.as_str()), ("RegistrationFailed", "the registry is full"));
}
