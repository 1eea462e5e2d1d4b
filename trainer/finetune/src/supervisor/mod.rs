//! One node's supervisor: starts a rank for each device, watches them, and starts all of them again from the last checkpoint when one dies
//! or hangs. The ranks of one try are a *generation*; all nodes' supervisors go from generation to generation together.
//!
//! Node 0's supervisor, not rank 0, hosts the store, so that it outlives every rank.

mod cause;
mod generation;
mod node;
mod rank_process;
mod verdict;
mod watch;

use crate::durable::read_json;
use crate::events::emit;
use crate::failure::{Failure, Result};
use crate::rank::Ending;
use crate::restarts;
use crate::stop_signal::StopSignal;
use node::Node;
use std::path::Path;
use temper_contract::report::TrainReport;
use temper_contract::{Event, ExitCode, TrainerConfig, layout};
use verdict::Verdict;

/// Trains on this node, to the end or until it makes no sense to go on.
pub(crate) fn run(config: &TrainerConfig, config_path: &Path) -> Result<Ending> {
    if let Some(report) = read_json::<TrainReport>(&config.run_folder.join(layout::TRAIN_REPORT))? {
        tracing::info!(step = report.step, "already trained");
        emit(&Event::Finished { step: report.step, reason: report.reason });
        return Ok(Ending::Complete);
    }
    crate::stage::prepared::report(config)?;
    let stop = StopSignal::listen()?;
    let node = Node::join(config, config_path)?;
    for generation in 0.. {
        match generation::run(&node, generation, &stop)? {
            Verdict::Done => break,
            Verdict::Terminated => return Ok(Ending::Terminated),
            Verdict::Fail(message) => return Err(Failure::from_termination(message)),
            Verdict::Restart { reason } if generation < config.failure.max_restarts => restart(&node, generation + 1, reason)?,
            Verdict::Restart { reason } => return Err(exhausted(config.failure.max_restarts, &reason)),
        }
    }
    node.wait_for_others(&stop)?;
    Ok(Ending::Complete)
}

fn restart(node: &Node, generation: u64, reason: String) -> Result<()> {
    tracing::warn!(generation, "restarting the ranks: {reason}");
    if node.is_first() {
        restarts::add(&node.config.run_folder)?;
    }
    emit(&Event::Restarting { generation, reason });
    Ok(())
}

fn exhausted(max_restarts: u64, reason: &str) -> Failure {
    Failure::new(
        ExitCode::RestartsExhausted,
        format!("{max_restarts} restarts are used up; the last failure: {reason}"),
        "look into that failure, then raise spec.failurePolicy.maxRestarts or start the job anew; it goes on from the last checkpoint",
    )
}
