//! Two supervisors, as on two nodes, that meet over the store, watch each other and restart together.

use crate::job::{Job, PATIENCE, Running, read, send, send_to_all};
use rustix::process::Signal;
use std::net::TcpListener;
use std::path::PathBuf;
use temper_c10d::Store;
use temper_contract::{Event, ExitCode, LastWord, StageReport, TerminationMessage, env};

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

/// A job that goes on until it is told to stop, and notices silence soon.
fn endless() -> Job {
    two_nodes(1_000_000).with(|config| {
        config.failure.heartbeat_timeout_seconds = 3;
        config.checkpoint.save_steps = Some(20);
        // What is not noticed would wait for longer than a test does.
        config.failure.rendezvous_timeout_seconds = 600;
        config.failure.stall_timeout_seconds = 600;
    })
}

fn last_word_path(job: &Job, node: usize) -> PathBuf {
    job.path(&format!("termination-{node}.json"))
}

fn start(job: &Job, node: usize) -> Running {
    let mut command = job.command("train");
    command.env(env::NODE_RANK, node.to_string()).env(env::TERMINATION_MESSAGE_PATH, last_word_path(job, node));
    Running::start(command)
}

fn is_checkpoint(event: &Event) -> bool {
    matches!(event, Event::CheckpointSaved { .. })
}

fn is_restart(event: &Event) -> bool {
    matches!(event, Event::Restarting { generation: 1, .. })
}

fn is_resumed(event: &Event) -> bool {
    matches!(event, Event::Started { resumed_from_step, .. } if *resumed_from_step > 0)
}

#[test]
fn two_nodes_train_as_two_ranks_do() {
    let reference = Job::new().ranks(2);
    reference.complete();
    let job = two_nodes(12);
    let (first, second) = (start(&job, 0), start(&job, 1));
    let outcome = first.finish();
    outcome.expect(ExitCode::Success);
    assert_eq!(outcome.events.iter().filter(|event| matches!(event, Event::Started { .. })).count(), 1);
    let other = second.finish();
    other.expect(ExitCode::Success);
    let of_rank_0 = |event: &Event| matches!(event, Event::Started { .. } | Event::Preparing { .. });
    assert!(!other.events.iter().any(of_rank_0), "rank 0 speaks for all: {:?}", other.events);
    let word = LastWord::parse(&std::fs::read_to_string(last_word_path(&job, 0)).expect("node 0 leaves its report"));
    assert_eq!(word, Some(LastWord::Done(StageReport::Trained(job.train_report()))));
    assert!(!last_word_path(&job, 1).exists(), "the other node has nothing to add");
    job.must("publish");
    assert_eq!(job.adapter(), reference.adapter());
}

#[test]
fn every_rank_tells_its_supervisor_how_far_its_evaluation_is() {
    let mut job = Job::new();
    job.must("prepare");
    let store = Store::host(0, PATIENCE).expect("a free port");
    job.variable(env::MASTER_PORT, store.port().to_string()).variable(env::WORLD_SIZE, "2");
    let ranks = [0, 1].map(|rank| {
        let mut command = job.command("rank");
        command.env(env::RANK, rank.to_string()).env(env::TERMINATION_MESSAGE_PATH, last_word_path(&job, rank));
        Running::start(command)
    });
    for rank in ranks {
        let outcome = rank.finish();
        outcome.expect(ExitCode::Success);
        let is_evaluation = |event: &Event| matches!(event, Event::Preparing { stage, .. } if stage == "evaluating");
        assert!(outcome.events.iter().any(is_evaluation), "{:?}", outcome.events);
    }
}

#[test]
fn a_rank_that_dies_on_one_node_restarts_both() {
    let job = endless();
    let (mut first, mut second) = (start(&job, 0), start(&job, 1));
    first.wait_for("checkpoint", is_checkpoint);
    send(second.ranks()[0], Signal::KILL);
    let Event::Restarting { reason, .. } = first.wait_for("restart", is_restart) else { unreachable!() };
    assert!(reason.contains("rank 1 was killed by SIGKILL"), "{reason}");
    second.wait_for("restart", is_restart);
    first.wait_for("resumption", is_resumed);
    // Told to one node, known to all.
    send(second.pid(), Signal::TERM);
    first.finish().expect(ExitCode::Terminated);
    second.finish().expect(ExitCode::Terminated);
    for node in [0, 1] {
        assert_eq!(read::<TerminationMessage>(&last_word_path(&job, node)).in_place_restarts, Some(1));
    }
}

#[test]
fn a_node_without_the_others_gives_up_in_time() {
    for node in [0, 1] {
        let mut job = two_nodes(12);
        job.config.failure.rendezvous_timeout_seconds = 2;
        let outcome = start(&job, node).finish();
        outcome.expect(ExitCode::Rendezvous);
        assert!(outcome.restarts().is_empty(), "{:?}", outcome.restarts());
        let message = read::<TerminationMessage>(&last_word_path(&job, node));
        let missing = if node == 0 { "did not come within 2 s: 1" } else { "did not reach node 0's store within 2 s" };
        assert!(message.message.contains(missing), "{message:?}");
    }
}

#[test]
fn a_node_that_starts_late_is_no_failure() {
    let job = two_nodes(12).with(|config| config.failure.max_restarts = 0);
    for late in [0, 1] {
        let _ = std::fs::remove_file(job.config.run_folder.join(temper_contract::layout::TRAIN_REPORT));
        let mut early = start(&job, 1 - late);
        early.wait_for_log("waiting for");
        let late = start(&job, late);
        early.finish().expect(ExitCode::Success);
        late.finish().expect(ExitCode::Success);
        assert_eq!(job.train_report().restarts, 0);
    }
}

#[test]
fn a_node_that_waits_for_a_name_is_stopped_at_once() {
    let mut job = two_nodes(12);
    job.variable(env::MASTER_ADDR, "node-0.ranks.invalid");
    let mut second = start(&job, 1);
    second.wait_for_log("waiting for node 0's store");
    send(second.pid(), Signal::TERM);
    second.finish().expect(ExitCode::Terminated);
}

#[test]
fn a_node_that_waits_for_the_others_is_stopped_at_once() {
    let job = two_nodes(12);
    let mut first = start(&job, 0);
    first.wait_for_log("waiting for nodes 1");
    send(first.pid(), Signal::TERM);
    first.finish().expect(ExitCode::Terminated);
}

#[test]
fn a_node_that_falls_silent_is_noticed_and_comes_back() {
    for silent in [0, 1] {
        let job = endless();
        let mut nodes = [start(&job, 0), start(&job, 1)];
        nodes[0].wait_for("checkpoint", is_checkpoint);
        send_to_all(&nodes[silent], Signal::STOP);
        nodes[1 - silent].wait_for_log(&format!("node {silent} gave no sign of life for 3 s"));
        send_to_all(&nodes[silent], Signal::CONT);
        for node in &mut nodes {
            node.wait_for("restart", is_restart);
        }
        nodes[0].wait_for("resumption", is_resumed);
        for node in &nodes {
            send(node.pid(), Signal::TERM);
        }
        for node in nodes {
            node.finish().expect(ExitCode::Terminated);
        }
    }
}

#[test]
fn a_node_that_is_gone_for_good_ends_the_attempt() {
    for gone in [0, 1] {
        let job = endless();
        let mut nodes = [start(&job, 0), start(&job, 1)];
        nodes[0].wait_for("checkpoint", is_checkpoint);
        send_to_all(&nodes[gone], Signal::KILL);
        let [first, second] = nodes;
        let left = if gone == 0 { second } else { first };
        left.finish().expect(ExitCode::PeerLost);
        let message = read::<TerminationMessage>(&last_word_path(&job, 1 - gone));
        assert!(message.message.contains(&format!("node {gone}")), "{message:?}");
        assert_eq!(message.in_place_restarts, Some(0), "ranks that never started again used up nothing");
    }
}

#[test]
fn both_nodes_told_to_stop_save_one_step() {
    let job = endless().with(|config| config.checkpoint.save_steps = None);
    let (mut first, second) = (start(&job, 0), start(&job, 1));
    first.wait_for_step(3);
    send(first.pid(), Signal::TERM);
    first.wait_for("checkpoint", is_checkpoint);
    // Its ranks are ending, too.
    send(second.pid(), Signal::TERM);
    let outcome = first.finish();
    outcome.expect(ExitCode::Terminated);
    second.finish().expect(ExitCode::Terminated);
    let saved: Vec<u64> = outcome
        .events
        .iter()
        .filter_map(|event| if let Event::CheckpointSaved { step, .. } = event { Some(*step) } else { None })
        .collect();
    assert_eq!(saved, [job.steps().last().expect("some steps").step], "the last step that both finished");
}

#[test]
fn node_0_does_not_wait_for_a_node_that_is_gone_after_the_end() {
    let job = two_nodes(12).with(|config| {
        config.failure.heartbeat_timeout_seconds = 2;
        config.failure.rendezvous_timeout_seconds = 600;
    });
    let (mut first, second) = (start(&job, 0), start(&job, 1));
    first.wait_for("end", |event| matches!(event, Event::Finished { .. }));
    // It may have left already: then there is nobody to wait for.
    send(second.pid(), Signal::STOP);
    first.finish().expect(ExitCode::Success);
}
