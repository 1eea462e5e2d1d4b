//! What the nodes' supervisors do together: meet before each generation, agree on how it ends, and leave.

use super::link::{Connection, Seen};
use super::meeting::{self, Meeting, Patience};
use super::node::Node;
use super::verdict::Verdict;
use crate::failure::Result;
use crate::stop_signal::StopSignal;
use std::time::{Duration, Instant};

/// Time between log lines while this node waits for others.
const SAY_AGAIN: Duration = Duration::from_secs(5);
/// How long a supervisor that ends anyway waits for others to hear of it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What another node has done to the generation that runs.
#[derive(Debug)]
pub(super) enum Elsewhere {
    /// A supervisor has said how it ends.
    Verdict(Verdict),
    /// A node has fallen silent or gone; how, in a sentence.
    Lost(String),
}

impl Node {
    fn patience(&self) -> Patience {
        let failure = &self.config.failure;
        Patience {
            rendezvous: Duration::from_secs(failure.rendezvous_timeout_seconds),
            heartbeat: Duration::from_secs(failure.heartbeat_timeout_seconds),
        }
    }

    /// Waits until every node's supervisor is ready to start the generation. The verdict, if it is over before it began.
    pub(super) fn meet(&self, generation: u64, stop: &StopSignal) -> Result<Option<Verdict>> {
        let Some(link) = &self.link else { return Ok(stop.is_set().then_some(Verdict::Terminated)) };
        link.enter(generation);
        let began = Instant::now();
        let mut said: Option<Instant> = None;
        loop {
            let seen = link.seen();
            if seen.verdict.is_some() {
                return Ok(seen.verdict);
            }
            if stop.is_set() {
                return self.agree(Verdict::Terminated, stop).map(Some);
            }
            let now = Instant::now();
            match meeting::decide(generation, &seen, began, self.patience(), now) {
                Meeting::Complete => return Ok(None),
                Meeting::GivenUp(failure) => return self.agree(Verdict::Fail(failure.termination_message()), stop).map(Some),
                Meeting::Waiting(what) if said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_AGAIN) => {
                    said = Some(now);
                    tracing::info!(generation, seconds = now.saturating_duration_since(began).as_secs(), "waiting for {what}");
                }
                Meeting::Waiting(_) => {}
            }
            link.wait();
        }
    }

    /// Lets the other nodes start the generation, where this one says so.
    pub(super) fn let_start(&self) {
        if let Some(link) = self.link.as_ref().filter(|_| self.is_first()) {
            link.let_start();
        }
    }

    /// What another node has done to the generation, if anything.
    pub(super) fn elsewhere(&self) -> Option<Elsewhere> {
        let Seen { connection, roll, verdict, .. } = self.link.as_ref()?.seen();
        if let Some(verdict) = verdict {
            return Some(Elsewhere::Verdict(verdict));
        }
        if let Connection::Lost(reason) = connection {
            return Some(Elsewhere::Lost(format!("node 0's supervisor has ended: {reason}")));
        }
        let (node, silence) = roll.silent(Instant::now(), self.patience().heartbeat)?;
        Some(Elsewhere::Lost(format!("node {node} gave no sign of life for {} s", silence.as_secs())))
    }

    /// Proposes how the generation ends; returns the verdict that was first among all nodes. Without node 0 there is no other verdict, and
    /// nothing to restart.
    pub(super) fn agree(&self, proposed: Verdict, stop: &StopSignal) -> Result<Verdict> {
        let Some(link) = self.link.as_ref().filter(|_| proposed != Verdict::Done) else { return Ok(proposed) };
        link.propose(proposed.clone());
        let is_restart = matches!(proposed, Verdict::Restart { .. });
        let deadline = Instant::now() + if is_restart { self.patience().returning() } else { LAST_WORDS };
        loop {
            let seen = link.seen();
            if let Some(verdict) = seen.verdict {
                return Ok(verdict);
            }
            let gone = match seen.connection {
                Connection::Lost(reason) | Connection::Reaching(reason) => Some(reason),
                Connection::Up if Instant::now() >= deadline => Some("it does not answer".to_owned()),
                Connection::Up => None,
            };
            match (gone, &proposed) {
                (None, _) if stop.is_set() && is_restart => return Ok(Verdict::Terminated),
                (None, _) => link.wait(),
                (Some(why), Verdict::Restart { reason, .. }) => {
                    return Ok(Verdict::Fail(
                        meeting::lost(format!("node 0's supervisor is gone ({why}), and {reason}")).termination_message(),
                    ));
                }
                (Some(_), _) => return Ok(proposed),
            }
        }
    }

    /// Says that this node is done. Node 0, which hosts the store, stays until the others have heard what they need.
    pub(super) fn leave(&self) {
        let Some(link) = &self.link else { return };
        link.leave();
        let patience = self.patience();
        let deadline = Instant::now() + if self.is_first() { patience.returning() } else { LAST_WORDS };
        loop {
            let seen = link.seen();
            let is_over = match self.is_first() {
                true => seen.roll.is_alone(Instant::now(), patience.heartbeat),
                false => seen.has_told_all,
            };
            if is_over || seen.connection != Connection::Up {
                return;
            }
            if Instant::now() >= deadline {
                tracing::warn!("left while other nodes may not have heard how training ended");
                return;
            }
            link.wait();
        }
    }
}
