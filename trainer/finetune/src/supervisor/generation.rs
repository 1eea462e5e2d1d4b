//! One generation of ranks on this node: started together, watched, ended together.

use super::agreement::Elsewhere;
use super::cause::{self, End};
use super::link::POLL;
use super::node::Node;
use super::orphans;
use super::rank_process::{Heard, RankProcess};
use super::verdict::Verdict;
use super::watch::Watch;
use crate::events::emit;
use crate::failure::Result;
use crate::restarts;
use crate::stop_signal::StopSignal;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use temper_contract::Event;

/// After a rank has lost a peer: how long to wait for that peer's own end, which says more.
const EXPLANATION: Duration = Duration::from_millis(500);

/// Runs the generation to its end. When it returns, none of this node's ranks is alive.
pub(super) fn run(node: &Node, generation: u64, stop: &StopSignal) -> Result<Verdict> {
    if let Some(verdict) = node.meet(generation, stop)? {
        return Ok(verdict);
    }
    if generation > 0 && node.is_first() {
        // Counted when the ranks do start again: a node that is lost for good uses up an attempt, not a restart as well.
        restarts::add(&node.config.run_folder)?;
    }
    node.let_start();
    let mut ranks = Ranks::start(node, generation)?;
    let mut told_to_stop = false;
    let proposed = loop {
        ranks.listen(POLL)?;
        orphans::reap(&ranks.processes);
        if let Some(verdict) = ranks.verdict(told_to_stop) {
            break verdict;
        }
        match node.elsewhere() {
            Some(Elsewhere::Verdict(verdict)) => {
                ranks.kill();
                return Ok(verdict);
            }
            Some(Elsewhere::Lost(reason)) => {
                tracing::warn!("{reason}");
                break cause::judge_lost_node(reason, told_to_stop);
            }
            None => {}
        }
        if stop.is_set() && !told_to_stop {
            told_to_stop = true;
            if !ranks.watch.has_started() {
                // Nothing is trained yet since the last checkpoint.
                break Verdict::Terminated;
            }
            ranks.terminate();
        }
    };
    ranks.kill();
    node.agree(proposed, stop)
}

struct Ranks {
    processes: Vec<RankProcess>,
    heard: Receiver<(usize, Heard)>,
    watch: Watch,
    /// By rank, in the order in which they ended.
    ends: Vec<(usize, End)>,
    /// When to stop waiting for the end that explains a lost peer.
    explain_until: Option<Instant>,
}

impl Ranks {
    fn start(node: &Node, generation: u64) -> Result<Self> {
        let (sender, heard) = channel();
        let count = node.config.parallelism.num_proc_per_node;
        let failure = &node.config.failure;
        let seconds = Duration::from_secs;
        let first = node.first_rank();
        tracing::info!(generation, "starting ranks {first} to {}", first + count - 1);
        let processes =
            (0..count).map(|local_rank| RankProcess::start(node, local_rank, generation, sender.clone())).collect::<Result<_>>()?;
        let watch = Watch::new(count, seconds(failure.heartbeat_timeout_seconds), seconds(failure.stall_timeout_seconds), Instant::now());
        Ok(Self { processes, heard, watch, ends: Vec::new(), explain_until: None })
    }

    /// Takes in what the ranks say, for at most `patience` if they say nothing.
    fn listen(&mut self, patience: Duration) -> Result<()> {
        let mut message = self.heard.recv_timeout(patience).ok();
        while let Some((local_rank, heard)) = message {
            self.take_in(local_rank, heard)?;
            message = self.heard.try_recv().ok();
        }
        Ok(())
    }

    fn take_in(&mut self, local_rank: usize, heard: Heard) -> Result<()> {
        let now = Instant::now();
        match heard {
            Heard::Event(event) => {
                self.watch.heard(local_rank, &event, now);
                // Every rank says that it starts, for its supervisor; rank 0 says it for all.
                let is_own = matches!(event, Event::Heartbeat { .. })
                    || (matches!(event, Event::Started { .. }) && self.processes[local_rank].rank != 0);
                if !is_own {
                    emit(&event);
                }
            }
            Heard::Closed => {
                self.watch.ended(local_rank);
                let process = &mut self.processes[local_rank];
                let end = process.end()?;
                tracing::debug!(rank = process.rank, ?end, "a rank has ended");
                if cause::is_lost_peer(&end) {
                    self.explain_until.get_or_insert(now + EXPLANATION);
                }
                self.ends.push((process.rank, end));
            }
        }
        Ok(())
    }

    /// How the generation ends, once that is clear.
    fn verdict(&mut self, told_to_stop: bool) -> Option<Verdict> {
        let now = Instant::now();
        let all_ended = self.ends.len() == self.processes.len();
        let explained = self.ends.iter().any(|(_, end)| !cause::is_fine(end) && !cause::is_lost_peer(end));
        let waited_enough = self.explain_until.is_some_and(|until| now >= until);
        if all_ended || explained || waited_enough {
            return Some(cause::judge(&self.ends, told_to_stop));
        }
        let (local_rank, end) = self.watch.trouble(now)?;
        let mut ends = self.ends.clone();
        ends.push((self.processes[local_rank].rank, end));
        Some(cause::judge(&ends, told_to_stop))
    }

    fn terminate(&self) {
        let ended = |rank| self.ends.iter().any(|(ended, _)| *ended == rank);
        self.processes.iter().filter(|process| !ended(process.rank)).for_each(RankProcess::terminate);
    }

    fn kill(&mut self) {
        self.processes.iter_mut().for_each(RankProcess::kill);
    }
}
