//! Whatever happens, in whatever order: the promises that every plan keeps.

use crate::world::{Fate, World, job};
use proptest::prelude::*;
use serde_json::json;
use temper_crds::condition::ConditionStatus;
use temper_planner::{Attempt, Cause, Intent, Outcome, plan};

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        prop_oneof![Just(0), Just(1), Just(12), Just(13), Just(14), Just(137), Just(143), -1..300].prop_map(Cause::Exited),
        (1..32).prop_map(Cause::Signalled),
        Just(Cause::OutOfMemory),
        Just(Cause::Interrupted),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => (-100i64..2000).prop_map(Fate::After),
        3 => Just(Fate::Wake),
        3 => Just(Fate::Done),
        4 => cause().prop_map(Fate::Ends),
        2 => (0u64..100).prop_map(Fate::Step),
        2 => (0u64..100).prop_map(Fate::Saved),
        2 => Just(Fate::RestartedInPlace),
        1 => any::<bool>().prop_map(Fate::Suspend),
        1 => any::<bool>().prop_map(Fate::Registers),
        1 => Just(Fate::Retried),
    ]
}

fn running(world: &World) -> usize {
    let observed = &world.observed;
    let training = observed.training.iter().filter(|training| training.attempt.is_running()).count();
    training
        + observed.prepare.iter().filter(|attempt| attempt.is_running()).count()
        + observed.publish.iter().filter(|attempt| attempt.is_running()).count()
}

fn check(world: &World) -> Result<(), TestCaseError> {
    prop_assert!(running(world) <= 1, "two attempts run: {:#?}", world.observed);
    prop_assert!(world.last.intents.len() <= 2);
    prop_assert!(world.last.wake_at.is_none_or(|wake_at| wake_at > world.now()), "a wake-up in the past would spin");
    prop_assert_eq!(plan(&world.job, &world.observed, world.now()).status, world.last.status.clone(), "planning again changes nothing");
    if world.last.outcome().is_some() {
        prop_assert!(world.last.intents.iter().all(|intent| *intent == Intent::FreeFinished));
    }
    for intent in &world.last.intents {
        if let Intent::EnsureTrainers { restarts_left, .. } = intent {
            prop_assert!(*restarts_left <= world.job.max_restarts);
        }
    }
    prop_assert!(world.observed.training.iter().filter_map(|training| training.attempt.report()).count() <= 1);
    prop_assert!(world.observed.publish.iter().filter_map(Attempt::report).count() <= 1);
    let ready = world.last.status.conditions.iter().filter(|condition| condition.type_ == "Ready").count();
    prop_assert_eq!(ready, 1);
    Ok(())
}

/// Found by the test below: the status kept the failure, and so the job could fail again after it was complete.
#[test]
fn a_job_that_failed_and_is_complete_at_its_next_try_stays_complete() {
    let mut world = World::new(job(&json!({ "failurePolicy": { "maxRestarts": 0 } })));
    world.suffer_all(&[Fate::Registers(false), Fate::Done, Fate::Done, Fate::Done]);
    assert_eq!(world.last.outcome(), Some(Outcome::Failed));
    world.suffer_all(&[Fate::Retried, Fate::Registers(true)]);
    let holds = |world: &World, type_: &str| {
        world.last.status.conditions.iter().any(|condition| condition.type_ == type_ && condition.status == ConditionStatus::True)
    };
    assert!(holds(&world, "Complete") && !holds(&world, "Failed"), "{:#?}", world.last.status.conditions);
    world.suffer(Fate::Registers(false));
    assert_eq!(world.last.outcome(), Some(Outcome::Complete));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_breaks_a_promise_and_every_job_ends(
        fates in prop::collection::vec(fate(), 0..40),
        max_restarts in 0u32..5,
        deadline in prop::option::of(1u32..5000),
        ttl in prop::option::of(0u32..1000),
        registers in any::<bool>(),
    ) {
        let mut spec = json!({ "failurePolicy": { "maxRestarts": max_restarts } });
        if let Some(seconds) = deadline {
            spec["activeDeadlineSeconds"] = json!(seconds);
        }
        if let Some(seconds) = ttl {
            spec["ttlSecondsAfterFinished"] = json!(seconds);
        }
        if !registers {
            spec["output"] = json!({});
        }
        let mut world = World::new(job(&spec));
        check(&world)?;
        for fate in fates {
            let before = world.last.outcome();
            world.suffer(fate);
            check(&world)?;
            if before == Some(Outcome::Complete) || (before.is_some() && world.observed.retried_at.is_none()) {
                prop_assert_eq!(world.last.outcome(), before, "what is finished stays so");
            }
        }
        // From here on nothing goes wrong any more: the job must come to an end.
        world.suffer(Fate::Suspend(false));
        for _ in 0..12 {
            for fate in [Fate::Wake, Fate::Done] {
                world.suffer(fate);
                check(&world)?;
            }
            if world.transcript.iter().any(|line| line.contains("register ")) && world.last.outcome().is_none() {
                world.suffer(Fate::Registers(true));
            }
        }
        let outcome = world.last.outcome();
        prop_assert!(outcome.is_some(), "not finished: {:#?}", world.transcript);
        if outcome == Some(Outcome::Complete) {
            prop_assert!(world.observed.publish.iter().any(|attempt| attempt.report().is_some()));
        }
    }
}
