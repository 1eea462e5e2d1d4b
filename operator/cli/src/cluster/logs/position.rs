//! Where a reader of a pod's log is, so that it can go on after the connection was lost: no line is lost, and none is printed twice.
//!
//! The API server takes the place to go on from in whole seconds, and two processes of a pod may write out of order by a little. So the
//! reader asks for a little too much, and leaves out the very lines that it has printed already.

use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How far back lines may come late.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// Lines by their time; equal ones are counted by standing there more than once.
type Lines = BTreeMap<Timestamp, Vec<u64>>;

/// Where a reader is.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    /// What was printed and would come again.
    printed: Lines,
    /// Of it, what has not come again yet since the log was opened anew.
    expected: Lines,
    newest: Option<Timestamp>,
}

impl Position {
    /// When the newest line was written.
    pub(super) const fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The log is opened anew: from when on it is to be read.
    pub(super) fn reopen(&mut self) -> Option<Timestamp> {
        self.expected = self.printed.clone();
        self.newest.and_then(since)
    }

    /// Whether a line has not been seen yet.
    pub(super) fn is_new(&mut self, at: Timestamp, line: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(known) = self.expected.get_mut(&at)
            && let Some(place) = known.iter().position(|known| *known == hash)
        {
            known.swap_remove(place);
            return false;
        }
        self.newest = self.newest.max(Some(at));
        self.printed.entry(at).or_default().push(hash);
        if let Some(kept) = self.newest.and_then(since) {
            self.printed = self.printed.split_off(&kept);
        }
        true
    }
}

/// The whole second from which everything is asked for again.
fn since(newest: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(newest.as_second()).ok()?.checked_sub(OVERLAP).ok()
}

#[cfg(test)]
mod tests {
    use super::Position;
    use jiff::Timestamp;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).expect("a time")
    }

    #[test]
    fn after_a_lost_connection_it_goes_on_without_gap_or_repetition() {
        // The third line was written late, the fourth twice at the same moment.
        let log = [(500, "a"), (5100, "b"), (5050, "c"), (5900, "d"), (5900, "d"), (6000, "e"), (6001, "f")];
        for cut in 0..=log.len() {
            let mut position = Position::default();
            let mut printed = Vec::new();
            let mut read = |position: &mut Position, lines: &[(i64, &'static str)]| {
                printed.extend(lines.iter().filter(|(time, line)| position.is_new(at(*time), line)).map(|(_, line)| *line));
            };
            read(&mut position, &log[..cut]);
            let since = position.reopen();
            let rest: Vec<_> = log.iter().filter(|(time, _)| since.is_none_or(|since| at(*time) >= since)).copied().collect();
            read(&mut position, &rest);
            assert_eq!(printed, ["a", "b", "c", "d", "d", "e", "f"], "cut after {cut}");
        }
    }

    #[test]
    fn it_asks_for_whole_seconds() {
        let mut position = Position::default();
        assert_eq!(position.reopen(), None);
        assert!(position.is_new(at(7900), "a"));
        assert_eq!(position.reopen(), Some(at(6000)));
    }

    #[test]
    fn it_remembers_no_more_than_what_may_come_again() {
        let mut position = Position::default();
        (0..10_000).for_each(|number| assert!(position.is_new(at(number * 100), "x")));
        assert!(position.printed.len() <= 20, "{}", position.printed.len());
    }
}
