//! How this node's supervisor hears of the others': a thread that talks to the store on node 0 once in a while.
//!
//! A store whose host has been stopped, or lost its network, answers nothing and holds its callers up for ever. So only this thread calls
//! it; the supervisor looks at what the thread has heard last, goes on watching its ranks and can be told to stop at any time.
//!
//! | Key | Set by | Holds |
//! |---|---|---|
//! | `node-N` | node N, each second | its [`Presence`](super::presence::Presence) |
//! | `start-G` | node 0 | nothing: all nodes are there, generation G's ranks may start |
//! | `verdict-G` | the first node to propose one | the [`Verdict`] over generation G |

mod board;

use super::presence::Roll;
use super::verdict::Verdict;
use crate::failure::{Failure, Result};
use board::{Board, State};
use std::sync::Arc;
use std::time::Duration;
use temper_c10d::{Error, Store};

/// Time between looks at the store.
pub(super) const POLL: Duration = Duration::from_millis(100);
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
        let board = Arc::new(Board::new(own, num_nodes));
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
        self.board.change(|state| {
            change(state);
            state.changes += 1;
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.board.change(|state| state.is_dropped = true);
    }
}

/// Why the store was not reached, without the sentence around it.
fn reason(error: Error) -> String {
    match error {
        Error::Timeout { what, .. } => what,
        other => other.to_string(),
    }
}
