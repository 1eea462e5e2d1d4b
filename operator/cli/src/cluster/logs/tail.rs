//! The last lines of those that are meant, where the API server cannot count them: it does not know which rank says a line.

use jiff::Timestamp;
use std::collections::VecDeque;

/// Lines with their times.
pub(super) type Kept = VecDeque<(Timestamp, String)>;

/// Whether a line is meant.
type IsMeant = Box<dyn FnMut(Timestamp, &str) -> bool + Send>;

/// Takes all lines of a log, and keeps the last ones that are meant.
pub(super) struct Tail {
    most: usize,
    is_meant: IsMeant,
    kept: Kept,
}

impl Tail {
    /// Keeps so many lines of those for which `is_meant` holds. It is asked of every line, in their order.
    pub(super) fn new(most: u32, is_meant: impl FnMut(Timestamp, &str) -> bool + Send + 'static) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), is_meant: Box::new(is_meant), kept: Kept::new() }
    }

    /// The next line of the log.
    pub(super) fn take(&mut self, at: Timestamp, line: String) {
        if (self.is_meant)(at, &line) {
            self.kept.push_back((at, line));
            if self.kept.len() > self.most {
                self.kept.pop_front();
            }
        }
    }

    /// What was kept.
    pub(super) fn into_kept(self) -> Kept {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;
    use jiff::Timestamp;

    #[test]
    fn lines_that_are_not_meant_are_not_counted() {
        let table: [(u32, &[&str]); 3] = [(0, &[]), (2, &["c1", "c2"]), (9, &["a1", "a2", "b1", "c1", "c2"])];
        for (most, wanted) in table {
            let mut tail = Tail::new(most, |_, line| !line.starts_with("other"));
            for line in ["a1", "other", "a2", "b1", "other", "c1", "other", "c2", "other", "other"] {
                tail.take(Timestamp::UNIX_EPOCH, line.to_owned());
            }
            let kept: Vec<String> = tail.into_kept().into_iter().map(|(_, line)| line).collect();
            assert_eq!(kept, wanted, "the last {most}");
        }
    }
}
