//! Two supervisors, as on two nodes, that meet over the store and restart together.

use crate::job::{Job, Running, send};
use rustix::process::Signal;
use std::net::TcpListener;
use temper_contract::{Event, ExitCode, env};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

fn two_nodes(steps: u64) -> Job {
    let mut job = Job::new().with(|config| {
        config.parallelism.num_nodes = 2;
        config.hyperparameters.max_steps = Some(steps);
        config.failure.max_restarts = 1;
    });
    job.must("prepare");
    job.variable(env::MASTER_ADDR, "127.0.0.1").variable(env::MASTER_PORT, free_port().to_string());
    job
}

fn start(job: &Job, node: usize) -> Running {
    let mut command = job.command("train");
    command.env(env::NODE_RANK, node.to_string()).env(env::TERMINATION_MESSAGE_PATH, job.path(&format!("termination-{node}.json")));
    Running::start(command)
}

#[test]
fn two_nodes_train_as_two_ranks_do() {
    let reference = Job::new().ranks(2);
    reference.complete();
    let job = two_nodes(12);
    let (first, second) = (start(&job, 0), start(&job, 1));
    first.finish().expect(ExitCode::Success);
    second.finish().expect(ExitCode::Success);
    job.must("publish");
    assert_eq!(job.adapter(), reference.adapter());
}

#[test]
fn a_rank_that_dies_on_one_node_restarts_both() {
    let job = two_nodes(1_000_000);
    let (mut first, mut second) = (start(&job, 0), start(&job, 1));
    first.wait_for("checkpoint", |event| matches!(event, Event::CheckpointSaved { .. }));
    send(second.ranks()[0], Signal::KILL);
    let is_restart = |event: &Event| matches!(event, Event::Restarting { generation: 1, .. });
    first.wait_for("restart", is_restart);
    second.wait_for("restart", is_restart);
    first.wait_for("resumption", |event| matches!(event, Event::Started { resumed_from_step, .. } if *resumed_from_step > 0));
    // Told to one node, known to all.
    send(second.pid(), Signal::TERM);
    first.finish().expect(ExitCode::Terminated);
    second.finish().expect(ExitCode::Terminated);
}

#[test]
fn a_node_without_the_others_gives_up_in_time() {
    let mut job = two_nodes(12);
    job.config.failure.rendezvous_timeout_seconds = 2;
    let outcome = start(&job, 0).finish();
    outcome.expect(ExitCode::Rendezvous);
}
