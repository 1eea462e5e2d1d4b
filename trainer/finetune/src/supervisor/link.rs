//! How this node's supervisor hears of the others': a thread that talks to the store on node 0 once in a while.
//!
//! A store whose host has been stopped, or lost its network, answers nothing and holds its callers up for ever. So only this thread calls
//! it; the supervisor looks at what the thread has heard last, goes on watching its ranks and can be told to stop at any time.
//!
//! | Key | Set by | Holds |
//! |---|---|---|
//! | `node-N` | node N, each second | its [`Presence`] |
//! | `start-G` | node 0 | nothing: all nodes are there, generation G's ranks may start |
//! | `verdict-G` | the first node to propose one | the [`Verdict`] over generation G |

use super::presence::{Presence, Roll};
use super::verdict::Verdict;
use crate::failure::{Failure, Result};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use temper_c10d::{Error, Store};

/// Time between looks at the store.
pub(super) const POLL: Duration = Duration::from_millis(100);
/// Time between signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// One try to reach the store. The name is resolved anew for each: a pod's address appears late, or replaces an older pod's.
const TRY: Duration = Duration::from_secs(3);

/// Whether node 0's store can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Not yet, for this reason.
    Reaching(String),
    /// It could when it was last asked.
    Up,
    /// It has closed the connection.
    Lost(String),
}

/// What is known of the others now.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Whether this is node 0.
    pub(super) is_first: bool,
    pub(super) connection: Connection,
    pub(super) roll: Roll,
    /// Whether node 0 has let the generation start.
    pub(super) started: bool,
    /// How the generation ends, once one node has said so.
    pub(super) verdict: Option<Verdict>,
    /// Whether everything that this node had to say is in the store.
    pub(super) has_told_all: bool,
}

/// The supervisor's end of the thread. The thread ends soon after this is dropped; one that is held up by the store is left behind.
#[derive(Debug)]
pub(super) struct Link {
    board: Arc<Board>,
}

#[derive(Debug)]
struct Board {
    own: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// To be told.
    presence: Presence,
    let_start: bool,
    proposal: Option<Verdict>,
    is_dropped: bool,
    /// Counts what the supervisor changed above, and how much of it is told.
    changes: u64,
    told: u64,
    /// Heard. `started` and `verdict` are of `presence.generation`.
    connection: Connection,
    roll: Roll,
    /// How often the store has answered.
    answers: u64,
    started: bool,
    verdict: Option<Verdict>,
}

impl Link {
    /// Node 0's: `store` is a connection to the store that this process hosts.
    pub(super) fn of_first(store: Store, num_nodes: usize) -> Result<Self> {
        Self::start(0, num_nodes, move |_| Some(store))
    }

    /// Another node's, which tries to reach the store until it is there.
    pub(super) fn to_first(own: usize, num_nodes: usize, host: String, port: u16) -> Result<Self> {
        Self::start(own, num_nodes, move |board| {
            while !board.lock().is_dropped {
                match Store::connect(&host, port, TRY) {
                    Ok(store) => return Some(store),
                    Err(error) => board.lock().connection = Connection::Reaching(reason(error)),
                }
            }
            None
        })
    }

    fn start(own: usize, num_nodes: usize, connect: impl FnOnce(&Board) -> Option<Store> + Send + 'static) -> Result<Self> {
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
        let board = Arc::new(Board { own, state: Mutex::new(state), changed: Condvar::new() });
        let talk = {
            let board = Arc::clone(&board);
            move || {
                if let Some(store) = connect(&board) {
                    board.lock().connection = Connection::Up;
                    let error = board.talk(&store);
                    board.lock().connection =
                        Connection::Lost(error.map_or_else(|| "this node has left".to_owned(), |error| error.to_string()));
                }
            }
        };
        let thread = std::thread::Builder::new().name("nodes".to_owned()).spawn(talk);
        thread.map_err(|error| Failure::unexpected(format!("failed to start the thread that talks to the other nodes: {error}")))?;
        Ok(Self { board })
    }

    /// From now on this node is at a generation, about which nothing is known yet.
    pub(super) fn enter(&self, generation: u64) {
        self.tell(|state| {
            state.presence.generation = generation;
            (state.let_start, state.started, state.proposal, state.verdict) = (false, false, None, None);
        });
    }

    /// Lets the generation start on all nodes.
    pub(super) fn let_start(&self) {
        self.tell(|state| state.let_start = true);
    }

    /// Proposes how the generation ends; the first proposal wins.
    pub(super) fn propose(&self, verdict: Verdict) {
        self.tell(|state| state.proposal = Some(verdict));
    }

    /// Says that this node is done.
    pub(super) fn leave(&self) {
        self.tell(|state| state.presence.has_left = true);
    }

    /// What has been heard last.
    pub(super) fn seen(&self) -> Seen {
        let state = self.board.lock();
        Seen {
            is_first: self.board.own == 0,
            connection: state.connection.clone(),
            roll: state.roll.clone(),
            started: state.started,
            verdict: state.verdict.clone(),
            has_told_all: state.told == state.changes,
        }
    }

    /// Waits a little for something new.
    pub(super) fn wait(&self) {
        self.board.wait(POLL);
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.board.lock();
        change(&mut state);
        state.changes += 1;
        self.board.changed.notify_all();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.board.lock().is_dropped = true;
        self.board.changed.notify_all();
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, patience: Duration) {
        // Nothing depends on how long it really was, or on why it ended.
        drop(self.changed.wait_timeout(self.lock(), patience));
    }

    /// Talks until the link is dropped or the store fails, with the store's error.
    fn talk(&self, store: &Store) -> Option<Error> {
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

/// Why the store was not reached, without the sentence around it.
fn reason(error: Error) -> String {
    match error {
        Error::Timeout { what, .. } => what,
        other => other.to_string(),
    }
}
