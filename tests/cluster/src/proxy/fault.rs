//! What goes wrong with which request.

use std::sync::Arc;
use std::time::Duration;

use super::request::Request;

/// What goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// It is answered with this status and has no effect.
    Refuse(u16),
    /// A watch begins, and is told at once that its version is too old: what it watches must be listed anew.
    Expire,
    /// It takes effect, and is answered with this status all the same.
    Lie(u16),
    /// It takes effect, and the connection ends without an answer.
    LoseAnswer,
    /// It has no effect, and there is no answer for as long as the fault stays.
    Swallow,
    /// It has no effect, and its answer begins and stands still for as long as the fault stays.
    Stall,
    /// It is forwarded after a while.
    Delay(Duration),
    /// Something is done before it is forwarded.
    Before(Hook),
    /// Something is done in its place: it is not forwarded, and the connection ends without an answer. To kill a client just before a
    /// write, for what died must not write.
    Instead(Hook),
    /// Something is done after it took effect, before the answer is handed on.
    After(Hook),
}

/// What a test does at an exact point, such as killing a process. It blocks the request, and may block its thread.
pub type Hook = Arc<dyn Fn(&Request) + Send + Sync>;

/// Which of the requests that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    Every,
    /// One of them, counted from 1 at the moment when the fault is set.
    Nth(u64),
    /// As many of them, from the first on.
    First(u64),
}

impl Which {
    fn picks(self, count: u64) -> bool {
        match self {
            Self::Every => true,
            Self::Nth(number) => count == number,
            Self::First(number) => count <= number,
        }
    }
}

type Matches = dyn Fn(&Request) -> bool + Send + Sync;

/// A fault that is set.
struct Set {
    matches: Box<Matches>,
    which: Which,
    fault: Fault,
    matched: u64,
}

/// The faults that are set.
#[derive(Default)]
pub(super) struct Faults {
    set: Vec<Set>,
}

impl Faults {
    pub(super) fn set(&mut self, matches: Box<Matches>, which: Which, fault: Fault) {
        self.set.push(Set { matches, which, fault, matched: 0 });
    }

    pub(super) fn clear(&mut self) {
        self.set.clear();
    }

    /// What goes wrong with a request: the first fault that picks it. It counts for all that match.
    pub(super) fn pick(&mut self, request: &Request) -> Option<Fault> {
        let mut picked = None;
        for set in self.set.iter_mut().filter(|set| (set.matches)(request)) {
            set.matched += 1;
            if picked.is_none() && set.which.picks(set.matched) {
                picked = Some(set.fault.clone());
            }
        }
        picked
    }
}
