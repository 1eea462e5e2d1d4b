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
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use temper_contract::Event;

/// After a rank has lost a peer: how long to wait for that peer's own end, which says more.
const EXPLANATION: Duration = Duration::from_millis(500);
/// Time between looks at a rank that has closed its output: it ends within moments.
const LOOK: Duration = Duration::from_millis(5);

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
        ranks.listen()?;
        orphans::reap(&ranks.processes);
        // A signal to the whole process group ends ranks that do not handle signals yet, and may be seen here only now.
        if let Some(verdict) = ranks.verdict(told_to_stop || stop.is_set()) {
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
    /// Kept so that listening takes its time even when every rank has closed its output.
    _sender: Sender<(usize, Heard)>,
    watch: Watch,
    /// Local numbers of ranks that have closed their output and have not ended yet.
    closed: Vec<usize>,
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
        Ok(Self { processes, heard, _sender: sender, watch, closed: Vec::new(), ends: Vec::new(), explain_until: None })
    }

    /// Takes in what the ranks say and how they end, for a short while if they say nothing.
    fn listen(&mut self) -> Result<()> {
        let patience = if self.closed.is_empty() { POLL } else { LOOK };
        let mut message = self.heard.recv_timeout(patience).ok();
        while let Some((local_rank, heard)) = message {
            self.take_in(local_rank, heard);
            message = self.heard.try_recv().ok();
        }
        for local_rank in std::mem::take(&mut self.closed) {
            self.look_for_end(local_rank)?;
        }
        Ok(())
    }

    fn take_in(&mut self, local_rank: usize, heard: Heard) {
        match heard {
            Heard::Event(event) => {
                self.watch.heard(local_rank, &event, Instant::now());
                if is_for_the_job(&event, self.processes[local_rank].rank) {
                    emit(&event);
                }
            }
            Heard::Closed => self.closed.push(local_rank),
        }
    }

    /// Takes in the end of a rank that has closed its output. While it lives, its silence is watched like any other's.
    fn look_for_end(&mut self, local_rank: usize) -> Result<()> {
        let process = &mut self.processes[local_rank];
        let Some(end) = process.end()? else {
            self.closed.push(local_rank);
            return Ok(());
        };
        tracing::debug!(rank = process.rank, ?end, "a rank has ended");
        self.watch.ended(local_rank);
        if cause::is_lost_peer(&end) {
            self.explain_until.get_or_insert(Instant::now() + EXPLANATION);
        }
        self.ends.push((process.rank, end));
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

/// Whether the supervisor passes an event on. Every rank says to its own supervisor that it lives, that it starts and how far it is, so
/// that none is taken for stalled; rank 0 says it for all.
fn is_for_the_job(event: &Event, rank: usize) -> bool {
    match event {
        Event::Heartbeat { .. } => false,
        Event::Started { .. } | Event::Preparing { .. } => rank == 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::is_for_the_job;
    use temper_contract::Event;

    #[test]
    fn rank_0_speaks_for_all() {
        let evaluating = Event::Preparing { stage: "evaluating".to_owned(), done: 1, total: 2 };
        let warning = Event::Warning { message: "a checkpoint is damaged".to_owned() };
        for (event, of_first, of_others) in
            [(Event::Heartbeat { rank: 0, step: 1 }, false, false), (evaluating, true, false), (warning, true, true)]
        {
            assert_eq!((is_for_the_job(&event, 0), is_for_the_job(&event, 1)), (of_first, of_others), "{event:?}");
        }
    }
}
