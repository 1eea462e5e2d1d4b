//! Ranks that die, hang or are told to stop.

use crate::job::{Job, send};
use rustix::process::Signal;
use temper_contract::{Event, ExitCode};

/// A job that goes on until it is told to stop.
fn endless() -> Job {
    let job = Job::new().ranks(2).with(|config| {
        config.hyperparameters.max_steps = Some(1_000_000);
        config.evaluation.eval_steps = None;
        config.dataset.validation = None;
        config.checkpoint.save_steps = Some(50);
        config.failure.max_restarts = 1;
        config.failure.heartbeat_timeout_seconds = 3;
    });
    job.must("prepare");
    job
}

fn is_restart(event: &Event) -> bool {
    matches!(event, Event::Restarting { .. })
}

fn is_resumed(event: &Event) -> bool {
    matches!(event, Event::Started { resumed_from_step, .. } if *resumed_from_step > 0)
}

#[test]
fn a_killed_rank_is_restarted_from_the_checkpoint() {
    let job = endless();
    let mut running = job.start("train");
    running.wait_for("checkpoint", |event| matches!(event, Event::CheckpointSaved { .. }));
    send(running.ranks()[1], Signal::KILL);
    let Event::Restarting { generation, reason } = running.wait_for("restart", is_restart) else { unreachable!() };
    assert_eq!(generation, 1);
    assert!(reason.contains("rank 1 was killed by SIGKILL"), "{reason}");
    running.wait_for("resumption", is_resumed);
    running.wait_for_step(1);
    send(running.pid(), Signal::TERM);
    running.finish().expect(ExitCode::Terminated);
    let steps: Vec<u64> = job.steps().iter().map(|record| record.step).collect();
    assert!(steps.iter().copied().eq(1..=steps.len() as u64), "every step is logged once");
}

#[test]
fn a_stopped_rank_is_noticed_by_its_heartbeat() {
    let job = endless();
    let mut running = job.start("train");
    running.wait_for("checkpoint", |event| matches!(event, Event::CheckpointSaved { .. }));
    send(running.ranks()[1], Signal::STOP);
    let Event::Restarting { reason, .. } = running.wait_for("restart", is_restart) else { unreachable!() };
    assert!(reason.contains("rank 1 gave no heartbeat for 3 s"), "{reason}");
    running.wait_for("resumption", is_resumed);
    send(running.pid(), Signal::TERM);
    running.finish().expect(ExitCode::Terminated);
}

#[test]
fn a_rank_that_keeps_dying_uses_up_the_restarts() {
    let job = endless();
    let mut running = job.start("train");
    for _ in 0..2 {
        running.wait_for_step(1);
        send(running.ranks()[0], Signal::KILL);
    }
    let outcome = running.finish();
    outcome.expect(ExitCode::RestartsExhausted);
    assert_eq!(outcome.restarts().len(), 1);
    let message = job.termination();
    assert!(message.message.contains("1 restarts are used up") && message.message.contains("rank 0 was killed"), "{message:?}");
    assert!(message.next_step.contains("maxRestarts"), "{message:?}");
}

#[test]
fn a_signal_to_stop_saves_the_step_it_came_in_and_loses_nothing() {
    let reference = Job::new().ranks(2).with(|config| config.hyperparameters.max_steps = Some(60));
    reference.complete();
    let job = Job::new().ranks(2).with(|config| {
        config.hyperparameters.max_steps = Some(60);
        config.checkpoint.save_steps = None;
    });
    job.must("prepare");
    let mut running = job.start("train");
    running.wait_for_step(5);
    send(running.pid(), Signal::TERM);
    let outcome = running.finish();
    outcome.expect(ExitCode::Terminated);
    assert_eq!(job.termination().reason, ExitCode::Terminated);
    let last = job.steps().last().expect("some steps").step;
    let saved = outcome.events.iter().find_map(|event| match event {
        Event::CheckpointSaved { step, .. } => Some(*step),
        _ => None,
    });
    assert_eq!(saved, Some(last), "the checkpoint is that of the last finished step");
    job.must("train");
    job.must("publish");
    assert_eq!(job.adapter(), reference.adapter());
}

#[test]
fn ranks_do_not_outlive_their_supervisor() {
    let job = endless();
    let mut running = job.start("train");
    running.wait_for_step(1);
    send(running.pid(), Signal::KILL);
    // Ends only when every process that holds standard error has ended: ranks hold it too.
    assert_eq!(running.finish().code(), -9);
}

#[test]
fn a_finished_training_is_not_done_again() {
    let job = Job::new();
    job.complete();
    let again = job.must("train");
    assert_eq!(again.events, [Event::Finished { step: 12, reason: "complete".to_owned() }]);
    job.must("publish");
}
