//! Lives without a failure.

use crate::world::Fate::{Done, Ends, Registers, Saved, Step, Suspend, Wake};
use crate::world::{World, job, life};
use serde_json::json;
use temper_crds::condition::{COMPLETE, ConditionStatus, DATA_READY, MODEL_REGISTERED, READY, RECONCILING, RUNNING, STALLED, SUSPENDED};
use temper_planner::Cause::Exited;
use temper_planner::plan::Outcome;
use temper_planner::{Intent, Observed, plan};

#[test]
fn a_job_is_prepared_trained_published_and_registered() {
    let transcript = life(json!({}), &[Done, Step(1), Saved(60), Done, Done, Registers(true)]);
    assert_eq!(
        transcript,
        [
            "0s = Preparing",
            "0s prepare 0",
            "10s = Training",
            "10s train 0 on 1x1 from the start, 3 restarts left",
            "40s = Publishing",
            "40s publish 0",
            "50s = Registering",
            "50s register out as tiny in Staging",
            "50s = Ready Complete",
        ]
    );
}

#[test]
fn a_job_that_registers_nothing_is_complete_when_it_is_published() {
    let transcript = life(json!({ "output": {} }), &[Done, Done, Done]);
    assert_eq!(transcript.last().map(String::as_str), Some("30s = Ready Complete"));
    assert!(transcript.iter().all(|line| !line.contains("register")));
}

/// An operator that ends between the two would find all gone that tells how the job ended.
#[test]
fn nothing_is_freed_before_the_end_is_written() {
    let mut world = World::new(job(&json!({ "output": {}, "ttlSecondsAfterFinished": 0 })));
    world.suffer_all(&[Done, Done]);
    let unwritten = world.observed.status.clone();
    world.suffer(Done);
    let unwritten = Observed { status: unwritten, freed: false, ..world.observed.clone() };
    let told = plan(&world.job, &unwritten, world.now());
    assert!(told.outcome() == Some(Outcome::Complete) && told.intents.is_empty(), "{told:?}");
    assert_eq!(told.wake_at, Some(world.now()));
    let written = Observed { status: told.status, ..unwritten };
    assert_eq!(plan(&world.job, &written, world.now()).intents, [Intent::FreeFinished]);
}

#[test]
fn what_a_finished_job_holds_is_freed_when_its_time_has_come_and_not_again() {
    let transcript = life(json!({ "output": {}, "ttlSecondsAfterFinished": 600 }), &[Done, Done, Done, Wake, Wake]);
    assert_eq!(transcript[transcript.len() - 2..], ["30s = Ready Complete", "630s free"]);
}

#[test]
fn a_finished_job_whose_objects_are_gone_stays_as_it_was() {
    let mut world = World::new(job(&json!({ "ttlSecondsAfterFinished": 0 })));
    world.suffer_all(&[Done, Saved(60), Done, Done, Registers(true), Wake]);
    let before = world.last.clone();
    assert!(world.observed.freed);
    world.observed = Observed { status: before.status.clone(), freed: true, ..Observed::default() };
    world.suffer(Wake);
    assert_eq!(world.last, before);
}

#[test]
fn the_status_tells_how_far_the_job_is() {
    let mut world = World::new(job(&json!({})));
    world.suffer_all(&[Done, Saved(20)]);
    let status = &world.last.status;
    let trainer = status.trainer_status.as_ref().expect("training has begun");
    assert_eq!((trainer.step, trainer.total_steps, trainer.progress_percentage), (20, 60, 33));
    assert_eq!(trainer.metrics.training_loss.as_ref().map(ToString::to_string).as_deref(), Some("1.5"));
    assert_eq!(status.parameters.as_ref().map(|parameters| parameters.trainable_percent.to_string()).as_deref(), Some("1"));
    assert_eq!(status.dataset.as_ref().map(|dataset| (dataset.rows, dataset.accepted)), Some((100, 90)));
    assert_eq!(status.checkpoint.as_ref().map(|checkpoint| checkpoint.step), Some(20));
    assert_eq!((status.attempt, status.observed_generation, status.restarts), (Some(0), Some(1), 0));
}

#[test]
fn conditions_are_those_of_kstatus() {
    let mut world = World::new(job(&json!({})));
    let holding = |world: &World| -> Vec<String> {
        let conditions = &world.last.status.conditions;
        conditions.iter().filter(|condition| condition.status == ConditionStatus::True).map(|condition| condition.type_.clone()).collect()
    };
    assert_eq!(holding(&world), [RECONCILING]);
    world.suffer(Done);
    assert_eq!(holding(&world), [RECONCILING, DATA_READY, RUNNING]);
    world.suffer_all(&[Suspend(true), Ends(Exited(143))]);
    assert_eq!(holding(&world), [DATA_READY, SUSPENDED]);
    world.suffer_all(&[Suspend(false), Wake, Done, Done]);
    assert_eq!(holding(&world), [RECONCILING, DATA_READY]);
    world.suffer(Registers(true));
    assert_eq!(holding(&world), [READY, DATA_READY, COMPLETE, MODEL_REGISTERED]);
    assert!(world.last.status.conditions.iter().any(|condition| condition.type_ == STALLED), "an absent condition would read as unknown");
    assert_eq!(world.last.status.model_version.as_ref().and_then(|version| version.name.as_deref()), Some("tiny-v1"));
}

#[test]
fn a_plan_that_changes_nothing_writes_the_same_status() {
    let mut world = World::new(job(&json!({})));
    world.suffer_all(&[Done, Saved(20)]);
    let before = world.last.clone();
    world.suffer(crate::world::Fate::After(5));
    assert_eq!(world.last, before);
}
