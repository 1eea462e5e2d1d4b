//! Lines of many pods in the order of their times, without waiting for a pod that says nothing.
//!
//! A line is held back until every other pod has shown a later one, or has had a moment to do so. So a backlog comes out in order, and the
//! newest lines late by no more than that moment. It holds one line a pod: a pod that is read faster than the others waits.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a line waits for pods that have not shown one.
pub(super) const PATIENCE: Duration = Duration::from_millis(300);

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next<L> {
    /// Print this line, and read the next one of its source.
    Line(usize, L),
    /// Wait until then, or until a line arrives.
    Wait(Instant),
    /// Wait until a line arrives: there is none.
    Idle,
}

#[derive(Clone, Debug)]
enum Head<L> {
    Line { at: Timestamp, line: L },
    Awaited { since: Instant },
}

/// The next line of each source.
#[derive(Clone, Debug)]
pub(super) struct Merge<L> {
    heads: BTreeMap<usize, Head<L>>,
}

impl<L> Merge<L> {
    pub(super) const fn new() -> Self {
        Self { heads: BTreeMap::new() }
    }

    /// A source's next line is being read.
    pub(super) fn awaits(&mut self, source: usize, now: Instant) {
        self.heads.insert(source, Head::Awaited { since: now });
    }

    /// A source's next line is there.
    pub(super) fn arrived(&mut self, source: usize, at: Timestamp, line: L) {
        self.heads.insert(source, Head::Line { at, line });
    }

    /// A source has no more lines.
    pub(super) fn closed(&mut self, source: usize) {
        self.heads.remove(&source);
    }

    /// Whether no source is left.
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The line to print, if one is to be printed now.
    pub(super) fn next(&mut self, now: Instant) -> Next<L> {
        let times = self.heads.iter().filter_map(|(source, head)| match head {
            Head::Line { at, .. } => Some((*at, *source)),
            Head::Awaited { .. } => None,
        });
        let Some((_, earliest)) = times.min() else { return Next::Idle };
        let awaited = self.heads.values().filter_map(|head| match head {
            Head::Awaited { since } => Some(*since + PATIENCE),
            Head::Line { .. } => None,
        });
        match awaited.max() {
            Some(until) if until > now => Next::Wait(until),
            _ => match self.heads.remove(&earliest) {
                Some(Head::Line { line, .. }) => Next::Line(earliest, line),
                _ => Next::Idle,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Merge, Next, PATIENCE};
    use jiff::Timestamp;
    use proptest::prelude::*;
    use std::time::Duration;
    use tokio::time::Instant;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_line_waits_for_another_pods_earlier_one() {
        let now = Instant::now();
        let mut merge = Merge::new();
        merge.awaits(0, now);
        merge.awaits(1, now);
        merge.arrived(0, at(5), "later");
        assert_eq!(merge.next(now), Next::Wait(now + PATIENCE));
        merge.arrived(1, at(3), "earlier");
        assert_eq!(merge.next(now), Next::Line(1, "earlier"));
        merge.closed(1);
        assert_eq!(merge.next(now), Next::Line(0, "later"));
    }

    #[test]
    fn a_silent_pod_holds_nobody_back_for_longer_than_a_moment() {
        let now = Instant::now();
        let mut merge = Merge::new();
        merge.awaits(0, now);
        for second in 0..5 {
            let then = now + PATIENCE + Duration::from_millis(second);
            merge.awaits(1, then);
            merge.arrived(1, at(second.cast_signed()), second);
            assert_eq!(merge.next(then), Next::Line(1, second), "the other has been silent since the beginning");
        }
        assert_eq!(merge.next(now), Next::Idle);
    }

    proptest! {
        #[test]
        fn pods_that_are_read_alike_come_out_in_order(mut backlogs in prop::collection::vec(prop::collection::vec(0i64..1000, 0..20), 1..6)) {
            let now = Instant::now();
            let mut merge = Merge::new();
            for (source, backlog) in backlogs.iter_mut().enumerate() {
                backlog.sort_unstable_by(|left, right| right.cmp(left));
                merge.awaits(source, now);
            }
            let total: usize = backlogs.iter().map(Vec::len).sum();
            let mut read = |merge: &mut Merge<i64>, source: usize| match backlogs[source].pop() {
                Some(second) => merge.arrived(source, at(second), second),
                None => merge.closed(source),
            };
            (0..merge.heads.len()).for_each(|source| read(&mut merge, source));
            let mut printed = Vec::new();
            while let Next::Line(source, second) = merge.next(now) {
                printed.push(second);
                merge.awaits(source, now);
                read(&mut merge, source);
            }
            prop_assert_eq!(printed.len(), total);
            prop_assert!(printed.is_sorted());
            prop_assert!(merge.is_empty());
        }
    }
}
