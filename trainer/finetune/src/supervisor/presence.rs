//! Which nodes' supervisors are there. Decides only: it is told what each of them says and what time it is.

use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// What a node's supervisor says of itself, again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Presence {
    /// The generation that it runs or waits to start.
    pub(super) generation: u64,
    /// A number that goes up while the supervisor lives.
    pub(super) beat: u64,
    /// Whether it is done and will not come back.
    pub(super) has_left: bool,
}

/// The other nodes, as far as this one has heard of them. Node 0 hears of all, the others of node 0.
#[derive(Clone, Debug)]
pub(super) struct Roll {
    own: usize,
    /// By node: what it said last, and when that was new.
    heard: Vec<Option<(Presence, Instant)>>,
}

impl Roll {
    /// Nobody has been heard of yet.
    pub(super) fn new(own: usize, num_nodes: usize) -> Self {
        Self { own, heard: vec![None; num_nodes] }
    }

    /// The numbers of all nodes but one.
    pub(super) fn others_of(own: usize, num_nodes: usize) -> impl Iterator<Item = usize> {
        (0..num_nodes).filter(move |node| *node != own)
    }

    /// How many nodes there are.
    pub(super) fn num_nodes(&self) -> usize {
        self.heard.len()
    }

    /// A node said this. The same words again are no sign of life: they stand in the store.
    pub(super) fn heard(&mut self, node: usize, presence: Presence, now: Instant) {
        let is_news = self.last(node) != Some(presence);
        if let Some(slot) = self.heard.get_mut(node).filter(|_| is_news) {
            *slot = Some((presence, now));
        }
    }

    /// Nodes that are not at this generation.
    pub(super) fn absent(&self, generation: u64) -> Vec<usize> {
        let is_there = |node| self.last(node).is_some_and(|presence| presence.generation == generation && !presence.has_left);
        self.others().filter(|node| !is_there(*node)).collect()
    }

    /// A node that has said that it will not come back.
    pub(super) fn left(&self) -> Option<usize> {
        self.others().find(|node| self.last(*node).is_some_and(|presence| presence.has_left))
    }

    /// A node that has been heard of, but not for so long, and for how long not.
    pub(super) fn silent(&self, now: Instant, patience: Duration) -> Option<(usize, Duration)> {
        self.others().find_map(|node| {
            let (presence, at) = (*self.heard.get(node)?)?;
            let silence = now.saturating_duration_since(at);
            (!presence.has_left && silence >= patience).then_some((node, silence))
        })
    }

    /// Whether no other node is left that would still have to be told something: each has left, is silent or was never there.
    pub(super) fn is_alone(&self, now: Instant, patience: Duration) -> bool {
        let is_out = |(presence, at): (Presence, Instant)| presence.has_left || now.saturating_duration_since(at) >= patience;
        self.others().all(|node| self.heard.get(node).copied().flatten().is_none_or(is_out))
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        Self::others_of(self.own, self.heard.len())
    }

    fn last(&self, node: usize) -> Option<Presence> {
        self.heard.get(node).copied().flatten().map(|(presence, _)| presence)
    }
}

#[cfg(test)]
mod tests {
    use super::{Presence, Roll};
    use std::time::{Duration, Instant};

    const SECOND: Duration = Duration::from_secs(1);
    const PATIENCE: Duration = Duration::from_secs(10);

    fn at(generation: u64, beat: u64) -> Presence {
        Presence { generation, beat, has_left: false }
    }

    #[test]
    fn nodes_are_absent_until_they_come_to_the_generation() {
        let now = Instant::now();
        let mut roll = Roll::new(0, 3);
        assert_eq!(roll.absent(0), [1, 2]);
        roll.heard(2, at(0, 1), now);
        assert_eq!((roll.absent(0), roll.absent(1)), (vec![1], vec![1, 2]));
        roll.heard(2, Presence { has_left: true, ..at(0, 2) }, now);
        assert_eq!((roll.absent(0), roll.left()), (vec![1, 2], Some(2)));
    }

    #[test]
    fn only_new_words_are_a_sign_of_life() {
        let start = Instant::now();
        let mut roll = Roll::new(1, 2);
        assert_eq!(roll.silent(start + 99 * SECOND, PATIENCE), None, "a node that never came is not silent");
        roll.heard(0, at(0, 1), start);
        roll.heard(0, at(0, 2), start + 5 * SECOND);
        roll.heard(0, at(0, 2), start + 9 * SECOND);
        assert_eq!(roll.silent(start + 14 * SECOND, PATIENCE), None);
        assert_eq!(roll.silent(start + 15 * SECOND, PATIENCE), Some((0, PATIENCE)));
        roll.heard(0, Presence { has_left: true, ..at(0, 3) }, start + 16 * SECOND);
        assert_eq!(roll.silent(start + 99 * SECOND, PATIENCE), None, "a node that has left owes no sign");
    }

    #[test]
    fn a_node_is_alone_when_nobody_listens_any_more() {
        let start = Instant::now();
        let mut roll = Roll::new(0, 3);
        assert!(roll.is_alone(start, PATIENCE));
        roll.heard(1, at(0, 1), start);
        roll.heard(2, at(0, 1), start + 4 * SECOND);
        assert!(!roll.is_alone(start + 10 * SECOND, PATIENCE));
        roll.heard(2, Presence { has_left: true, ..at(0, 2) }, start + 10 * SECOND);
        assert!(roll.is_alone(start + 10 * SECOND, PATIENCE));
    }
}
