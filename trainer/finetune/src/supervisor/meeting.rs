//! When the nodes' supervisors have met, so that a generation of ranks may start. Decides only.

use super::link::{Connection, Seen};
use crate::failure::Failure;
use std::time::{Duration, Instant};
use temper_contract::ExitCode;

/// How long to wait for nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For nodes that have not come yet: their pods may still be pulling an image.
    pub(super) rendezvous: Duration,
    /// For a sign of life, before the ranks are restarted.
    pub(super) heartbeat: Duration,
}

impl Patience {
    /// For a node that has fallen silent to come back, counted from its last sign of life.
    pub(super) fn returning(&self) -> Duration {
        3 * self.heartbeat
    }
}

/// What to do about a generation that has not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// Everybody is here: start.
    Complete,
    /// Wait on, for this.
    Waiting(String),
    /// Someone will not come.
    GivenUp(Failure),
}

/// Decides for the supervisor that has waited since `began`.
pub(super) fn decide(generation: u64, seen: &Seen, began: Instant, patience: Patience, now: Instant) -> Meeting {
    let waited = now.saturating_duration_since(began);
    match &seen.connection {
        Connection::Lost(reason) => return Meeting::GivenUp(lost(format!("node 0's supervisor has ended: {reason}"))),
        Connection::Reaching(reason) if waited >= patience.rendezvous => {
            return Meeting::GivenUp(late(format!("this node did not reach node 0's store within {} s: {reason}", waited.as_secs())));
        }
        Connection::Reaching(reason) => return Meeting::Waiting(format!("node 0's store ({reason})")),
        Connection::Up if seen.started => return Meeting::Complete,
        Connection::Up => {}
    }
    if let Some((node, silence)) = seen.roll.silent(now, patience.returning()) {
        return Meeting::GivenUp(lost(format!("node {node} has given no sign of life for {} s", silence.as_secs())));
    }
    if !seen.is_first {
        return Meeting::Waiting("node 0, which waits for the others".to_owned());
    }
    let absent = seen.roll.absent(generation);
    if absent.is_empty() {
        return Meeting::Complete;
    }
    if let Some(node) = seen.roll.left() {
        return Meeting::GivenUp(lost(format!("node {node} has ended, and generation {generation} of the ranks needs it")));
    }
    let names = absent.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if waited >= patience.rendezvous {
        return Meeting::GivenUp(late(format!("nodes that did not come within {} s: {names}", waited.as_secs())));
    }
    Meeting::Waiting(format!("nodes {names}"))
}

/// A node that was there is not any more.
pub(super) fn lost(message: String) -> Failure {
    Failure::new(ExitCode::PeerLost, message, "look at that node's pod or machine; the next attempt goes on from the last checkpoint")
}

fn late(message: String) -> Failure {
    Failure::new(
        ExitCode::Rendezvous,
        message,
        "check that every node's pod can be scheduled and started, and that MASTER_ADDR:MASTER_PORT is reachable from it",
    )
}

#[cfg(test)]
mod tests {
    use super::{Meeting, Patience, decide};
    use crate::supervisor::link::{Connection, Seen};
    use crate::supervisor::presence::{Presence, Roll};
    use std::time::{Duration, Instant};
    use temper_contract::ExitCode;

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Patience = Patience { rendezvous: Duration::from_secs(300), heartbeat: Duration::from_secs(10) };

    fn seen(own: usize) -> Seen {
        Seen { is_first: own == 0, connection: Connection::Up, roll: Roll::new(own, 3), started: false, verdict: None, has_told_all: true }
    }

    fn presence(generation: u64) -> Presence {
        Presence { generation, ..Presence::default() }
    }

    fn given_up(meeting: &Meeting) -> Option<ExitCode> {
        if let Meeting::GivenUp(failure) = meeting { Some(failure.reason) } else { None }
    }

    #[test]
    fn node_0_starts_when_all_are_at_the_generation() {
        let began = Instant::now();
        let mut seen = seen(0);
        seen.roll.heard(2, presence(1), began);
        assert_eq!(decide(1, &seen, began, PATIENCE, began), Meeting::Waiting("nodes 1".to_owned()));
        seen.roll.heard(1, presence(0), began);
        assert_eq!(decide(1, &seen, began, PATIENCE, began), Meeting::Waiting("nodes 1".to_owned()), "it still ends generation 0");
        seen.roll.heard(1, presence(1), began);
        assert_eq!(decide(1, &seen, began, PATIENCE, began), Meeting::Complete);
    }

    #[test]
    fn a_node_that_never_came_is_waited_for_until_the_rendezvous_is_over() {
        let began = Instant::now();
        let mut first = seen(0);
        let other = Seen { connection: Connection::Reaching("the name has no address".to_owned()), ..seen(1) };
        for seen in [&first, &other] {
            assert!(matches!(decide(0, seen, began, PATIENCE, began + 299 * SECOND), Meeting::Waiting(_)));
            assert_eq!(given_up(&decide(0, seen, began, PATIENCE, began + 300 * SECOND)), Some(ExitCode::Rendezvous));
        }
        first.roll.heard(1, Presence { has_left: true, ..presence(0) }, began);
        assert_eq!(given_up(&decide(0, &first, began, PATIENCE, began)), Some(ExitCode::PeerLost), "it will not come any more");
    }

    #[test]
    fn a_node_that_fell_silent_is_waited_for_a_short_while() {
        let began = Instant::now();
        for (own, silent) in [(0, 2), (1, 0)] {
            let mut seen = seen(own);
            seen.roll.heard(silent, presence(0), began);
            assert!(matches!(decide(1, &seen, began, PATIENCE, began + 29 * SECOND), Meeting::Waiting(_)));
            assert_eq!(given_up(&decide(1, &seen, began, PATIENCE, began + 30 * SECOND)), Some(ExitCode::PeerLost));
        }
    }

    #[test]
    fn the_others_start_when_node_0_says_so() {
        let began = Instant::now();
        assert!(matches!(decide(0, &seen(2), began, PATIENCE, began), Meeting::Waiting(_)));
        assert_eq!(decide(0, &Seen { started: true, ..seen(2) }, began, PATIENCE, began), Meeting::Complete);
        let lost = Seen { connection: Connection::Lost("closed".to_owned()), started: true, ..seen(2) };
        assert_eq!(given_up(&decide(0, &lost, began, PATIENCE, began)), Some(ExitCode::PeerLost));
    }
}
