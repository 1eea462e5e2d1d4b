//! One node's supervisor: starts a rank for each device, watches them, and starts all of them again from the last checkpoint when one dies
//! or hangs. The ranks of one try are a *generation*; all nodes' supervisors go from generation to generation together: they meet before
//! each one, watch each other while it runs, and agree on how it ends.
//!
//! Node 0's supervisor, not rank 0, hosts the store, so that it outlives every rank.

mod agreement;
mod cause;
mod generation;
mod link;
mod meeting;
mod node;
mod orphans;
mod presence;
mod rank_output;
mod rank_process;
mod restore;
mod verdict;
mod watch;

use crate::durable::read_json;
use crate::events::emit;
use crate::failure::{Failure, Result};
use crate::rank::Ending;
use crate::stop_signal::StopSignal;
use crate::{inputs, logging, restarts, termination};
use node::Node;
use std::path::Path;
use temper_contract::report::TrainReport;
use temper_contract::{Event, ExitCode, StageReport, TrainerConfig, layout};
use verdict::Verdict;

/// Trains on this node, to the end or until it makes no sense to go on. Node 0 leaves the report.
pub(crate) fn run(config: &TrainerConfig, config_path: &Path, stop: &StopSignal) -> Result<Ending> {
    let node_rank = node::rank(config)?;
    let ending = match report(config)? {
        Some(report) => {
            tracing::info!(step = report.step, "already trained");
            emit(&Event::Finished { step: report.step, reason: report.reason });
            Ending::Complete
        }
        None => {
            crate::stage::prepared::report(config)?;
            inputs::check_base_model(config)?;
            let node = Node::join(config, config_path, node_rank)?;
            let outcome = train(&node, stop);
            node.leave();
            outcome?
        }
    };
    if node_rank == 0 && ending == Ending::Complete {
        termination::leave_report(&config.run_folder.join(layout::TRAIN_REPORT), StageReport::Trained)?;
    }
    Ok(ending)
}

fn train(node: &Node, stop: &StopSignal) -> Result<Ending> {
    // Those of earlier attempts are used up; every node reads the same number before the first restart of this one.
    let restarts_left = node.config.failure.max_restarts.saturating_sub(restarts::count(&node.config.run_folder)?);
    for generation in 0.. {
        logging::set_generation(generation);
        let verdict = run_generation(node, generation, stop).or_else(|failure| {
            // The other nodes need not find out by waiting.
            node.agree(Verdict::Fail(failure.termination_message()), stop)
        })?;
        if matches!(verdict, Verdict::Restart { .. } | Verdict::Fail(_)) && report(&node.config)?.is_some() {
            tracing::warn!(?verdict, "training is done; what was lost was lost after the end");
            break;
        }
        match verdict {
            Verdict::Done => break,
            Verdict::Terminated => return Ok(Ending::Terminated),
            Verdict::Fail(message) => return Err(Failure::from_termination(message)),
            Verdict::Restart { reason, .. } if generation < restarts_left => restart(generation + 1, reason),
            Verdict::Restart { reason, peer_lost } => return Err(exhausted(node.config.failure.max_restarts, &reason, peer_lost)),
        }
    }
    Ok(Ending::Complete)
}

fn run_generation(node: &Node, generation: u64, stop: &StopSignal) -> Result<Verdict> {
    // The nodes share a folder, so one of them brings the checkpoint; the others wait for its word to start.
    if generation == 0 && node.is_first() && restore::run(&node.config, stop)? == restore::Ending::Stopped {
        return node.agree(Verdict::Terminated, stop);
    }
    generation::run(node, generation, stop)
}

/// What training left, if it is done.
fn report(config: &TrainerConfig) -> Result<Option<TrainReport>> {
    read_json(&config.run_folder.join(layout::TRAIN_REPORT))
}

fn restart(generation: u64, reason: String) {
    tracing::warn!(generation, "restarting the ranks: {reason}");
    emit(&Event::Restarting { generation, reason });
}

/// Whoever only lost a peer cannot know whether another attempt would help: whoever knows how the peer ended decides.
fn exhausted(max_restarts: u64, reason: &str, peer_lost: bool) -> Failure {
    if peer_lost {
        return meeting::lost(format!("{reason}; restarts in place are used up (maxRestarts {max_restarts})"));
    }
    Failure::new(
        ExitCode::RestartsExhausted,
        format!("{max_restarts} restarts are used up; the last failure: {reason}"),
        "look into that failure, then raise spec.failurePolicy.maxRestarts or start the job anew; it goes on from the last checkpoint",
    )
}
