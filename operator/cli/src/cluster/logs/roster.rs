//! The pods of a job over time: whose log is to be opened, whose has an end, and what is to be told of them. Decides only.

use crate::cluster::logs::scope::Scope;
use crate::cluster::logs::seen::{Seen, State, Try};
use std::collections::BTreeMap;

/// What is to be done because of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// Its log is to be read.
    Open(Seen),
    /// Its log, which is being read, has an end.
    End(usize),
    /// A person should know.
    Tell(String),
}

/// Pods by UID.
#[derive(Debug)]
pub(super) struct Roster {
    scope: Scope,
    most: usize,
    /// Logs that are opened, with their numbers.
    opened: BTreeMap<String, usize>,
    waiting: BTreeMap<String, String>,
    newest: Option<Try>,
    is_full: bool,
}

impl Roster {
    pub(super) const fn new(scope: Scope, most: usize) -> Self {
        Self { scope, most, opened: BTreeMap::new(), waiting: BTreeMap::new(), newest: None, is_full: false }
    }

    /// A pod is new or has changed.
    pub(super) fn look(&mut self, pod: &Seen) -> Vec<Move> {
        let mut moves = Vec::new();
        if !self.scope.takes(pod) {
            return moves;
        }
        if self.newest.is_none_or(|newest| pod.attempt > newest) {
            self.newest = Some(pod.attempt);
            moves.push(Move::Tell(pod.attempt.to_string()));
        }
        if let State::Waiting(why) = &pod.state {
            if let Some(why) = why
                && self.waiting.get(&pod.uid) != Some(why)
            {
                self.waiting.insert(pod.uid.clone(), why.clone());
                moves.push(Move::Tell(format!("{} waits: {why}", pod.name)));
            }
            return moves;
        }
        match self.opened.get(&pod.uid) {
            Some(number) if pod.state == State::Ended => moves.push(Move::End(*number)),
            Some(_) => {}
            None if self.opened.len() < self.most => moves.push(Move::Open(pod.clone())),
            None if !std::mem::replace(&mut self.is_full, true) => {
                moves.push(Move::Tell(format!("no more than {} logs are read; choose others with --rank", self.most)));
            }
            None => {}
        }
        moves
    }

    /// A pod is gone.
    pub(super) fn gone(&self, uid: &str) -> Option<Move> {
        self.opened.get(uid).map(|number| Move::End(*number))
    }

    /// A log is opened under this number.
    pub(super) fn opened(&mut self, uid: &str, number: usize) {
        self.opened.insert(uid.to_owned(), number);
    }
}

#[cfg(test)]
mod tests {
    use super::{Move, Roster};
    use crate::cluster::logs::scope::Scope;
    use crate::cluster::logs::seen::{Seen, State, Try};
    use temper_planner::Stage;

    fn pod(uid: &str, stage: Stage, number: u64, state: State) -> Seen {
        Seen { name: format!("tiny-{uid}"), uid: uid.to_owned(), attempt: Try { stage, number }, node: 0, state }
    }

    fn roster(first: Option<Try>) -> Roster {
        Roster::new(Scope { first, later: true, stage: None, node: None }, 2)
    }

    #[test]
    fn a_log_is_opened_once_and_ends_with_its_pod() {
        let mut roster = roster(None);
        let waiting = pod("a", Stage::Train, 0, State::Waiting(Some("ImagePullBackOff".to_owned())));
        let told = Move::Tell("tiny-a waits: ImagePullBackOff".to_owned());
        assert_eq!(roster.look(&waiting), [Move::Tell("attempt 0 of train".to_owned()), told]);
        assert_eq!(roster.look(&waiting), [], "once");
        let running = pod("a", Stage::Train, 0, State::Running);
        assert_eq!(roster.look(&running), [Move::Open(running.clone())]);
        roster.opened("a", 7);
        assert_eq!(roster.look(&running), []);
        assert_eq!(roster.look(&pod("a", Stage::Train, 0, State::Ended)), [Move::End(7)]);
        assert_eq!((roster.gone("a"), roster.gone("b")), (Some(Move::End(7)), None));
    }

    #[test]
    fn earlier_tries_are_left_out_and_later_ones_announced() {
        let mut roster = roster(Some(Try { stage: Stage::Train, number: 1 }));
        assert_eq!(roster.look(&pod("p", Stage::Prepare, 3, State::Ended)), []);
        assert_eq!(roster.look(&pod("a", Stage::Train, 0, State::Ended)), []);
        assert_eq!(roster.look(&pod("b", Stage::Train, 1, State::Running)).len(), 2);
        let moves = roster.look(&pod("c", Stage::Publish, 0, State::Running));
        assert_eq!(moves[0], Move::Tell("attempt 0 of publish".to_owned()));
    }

    #[test]
    fn too_many_logs_are_told_once() {
        let mut roster = roster(None);
        for (number, uid) in ["a", "b"].into_iter().enumerate() {
            assert!(roster.look(&pod(uid, Stage::Train, 0, State::Running)).contains(&Move::Open(pod(
                uid,
                Stage::Train,
                0,
                State::Running
            ))));
            roster.opened(uid, number);
        }
        assert!(matches!(roster.look(&pod("c", Stage::Train, 0, State::Running)).as_slice(), [Move::Tell(_)]));
        assert_eq!(roster.look(&pod("d", Stage::Train, 0, State::Running)), []);
    }
}
