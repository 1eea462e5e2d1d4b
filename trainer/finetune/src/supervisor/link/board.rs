//! What the supervisor and the thread that talks to the store tell each other, and the talk.

use super::{Connection, POLL, TRY};
use crate::supervisor::presence::{Presence, Roll};
use crate::supervisor::verdict::Verdict;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use temper_c10d::{Error, Store};

/// Time between signs of life.
const BEAT: Duration = Duration::from_secs(1);

/// What the supervisor and the thread share.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) own: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// To be told, and heard.
#[derive(Debug)]
pub(super) struct State {
    /// To be told.
    pub(super) presence: Presence,
    pub(super) let_start: bool,
    pub(super) proposal: Option<Verdict>,
    pub(super) is_dropped: bool,
    /// Counts what the supervisor changed above, and how much of it is told.
    pub(super) changes: u64,
    pub(super) told: u64,
    /// Heard. `started` and `verdict` are of `presence.generation`.
    pub(super) connection: Connection,
    pub(super) roll: Roll,
    /// How often the store has answered.
    answers: u64,
    pub(super) started: bool,
    pub(super) verdict: Option<Verdict>,
}

impl Board {
    /// Nothing is to be told yet but that this node is there.
    pub(super) fn new(own: usize, num_nodes: usize) -> Self {
        let state = State {
            presence: Presence::default(),
            let_start: false,
            proposal: None,
            is_dropped: false,
            changes: 1,
            told: 0,
            connection: Connection::Reaching("not tried yet".to_owned()),
            roll: Roll::new(own, num_nodes),
            answers: 0,
            started: false,
            verdict: None,
        };
        Self { own, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something and wakes whoever waits for that.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until something changes, or so long.
    pub(super) fn wait(&self, patience: Duration) {
        // Nothing depends on how long it really was, or on why it ended.
        drop(self.changed.wait_timeout(self.lock(), patience));
    }

    /// Talks until the link is dropped or the store fails, with the store's error.
    pub(super) fn talk(&self, store: &Store) -> Option<Error> {
        let mut last_beat: Option<Instant> = None;
        loop {
            let mut words = {
                let state = self.lock();
                if state.is_dropped {
                    return None;
                }
                state.words()
            };
            if last_beat.is_none_or(|at| at.elapsed() >= BEAT) {
                last_beat = Some(Instant::now());
                words.presence.beat += 1;
                words.is_beat = true;
            }
            let heard = match self.exchange(store, &words) {
                Ok(heard) => heard,
                Err(error) => return Some(error),
            };
            let mut state = self.lock();
            let changes = words.changes;
            state.take_in(self.own, words, heard);
            self.changed.notify_all();
            if state.changes == changes {
                drop(self.changed.wait_timeout(state, POLL));
            }
        }
    }

    fn exchange(&self, store: &Store, words: &Words) -> std::result::Result<Heard, Error> {
        let generation = words.presence.generation;
        let (start, verdict) = (format!("start-{generation}"), format!("verdict-{generation}"));
        let mut heard = Heard::default();
        if words.is_beat || words.are_news {
            store.set(&node_key(self.own), &json(&words.presence))?;
        }
        if words.let_start && words.are_news {
            store.set(&start, b"1")?;
        }
        if let Some(proposal) = &words.proposal {
            heard.verdict = Some(store.compare_set(&verdict, b"", &json(proposal))?);
        } else if store.contains(&verdict)? {
            heard.verdict = Some(store.get(&verdict, TRY)?);
        }
        heard.started = words.let_start || store.contains(&start)?;
        // While all wait for each other every look counts; later one in each beat is enough.
        if self.own == 0 && (words.is_beat || !heard.started) {
            for node in Roll::others_of(self.own, words.num_nodes) {
                if store.contains(&node_key(node))? {
                    heard.presences.push((node, store.get(&node_key(node), TRY)?));
                }
            }
        }
        Ok(heard)
    }
}

/// What is to be told in one round.
#[derive(Debug)]
struct Words {
    presence: Presence,
    let_start: bool,
    proposal: Option<Verdict>,
    num_nodes: usize,
    changes: u64,
    /// Whether the supervisor changed anything since the last round.
    are_news: bool,
    /// Whether a sign of life is due.
    is_beat: bool,
}

/// One round of answers, as the store has them.
#[derive(Debug, Default)]
struct Heard {
    started: bool,
    verdict: Option<Vec<u8>>,
    presences: Vec<(usize, Vec<u8>)>,
}

impl State {
    fn words(&self) -> Words {
        Words {
            presence: self.presence,
            let_start: self.let_start,
            proposal: self.proposal.clone().filter(|_| self.verdict.is_none()),
            num_nodes: self.roll.num_nodes(),
            changes: self.changes,
            are_news: self.told != self.changes,
            is_beat: false,
        }
    }

    fn take_in(&mut self, own: usize, words: Words, heard: Heard) {
        let now = Instant::now();
        self.told = words.changes;
        self.presence.beat = words.presence.beat;
        // What cannot be read is no sign of life; the same program runs on all nodes.
        for (node, bytes) in heard.presences {
            if let Ok(presence) = serde_json::from_slice::<Presence>(&bytes) {
                self.roll.heard(node, presence, now);
            }
        }
        if own != 0 {
            // Each answer is a sign of the process that hosts the store.
            self.answers += 1;
            self.roll.heard(0, Presence { beat: self.answers, ..Presence::default() }, now);
        }
        if self.presence.generation == words.presence.generation {
            self.started |= heard.started;
            let verdict = heard.verdict.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            self.verdict = self.verdict.take().or(verdict);
        }
    }
}

fn node_key(node: usize) -> String {
    format!("node-{node}")
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Plain fields always serialise.
    serde_json::to_vec(value).unwrap_or_default()
}
