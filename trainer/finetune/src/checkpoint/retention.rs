//! Which checkpoints are outdated. Decides only; the store removes.

/// A committed checkpoint. Ordered as readers prefer them: the highest attempt first of all, then the newest step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub(super) attempt: u64,
    pub(super) step: u64,
}

/// All but the `keep` most preferred of what is committed; one is always kept.
pub(super) fn outdated(mut committed: Vec<Id>, keep: usize) -> Vec<Id> {
    committed.sort_unstable_by(|a, b| b.cmp(a));
    committed.split_off(keep.max(1).min(committed.len()))
}

#[cfg(test)]
mod tests {
    use super::{Id, outdated};

    #[test]
    fn the_newest_of_the_highest_attempt_are_kept() {
        let ids = |pairs: &[(u64, u64)]| pairs.iter().map(|&(attempt, step)| Id { attempt, step }).collect::<Vec<_>>();
        let table = [
            (ids(&[]), 2, ids(&[])),
            (ids(&[(0, 5)]), 0, ids(&[])),
            (ids(&[(0, 5), (0, 15), (0, 10)]), 2, ids(&[(0, 5)])),
            // A late write of attempt 0 at step 30 does not displace attempt 1's.
            (ids(&[(0, 30), (1, 20), (0, 10), (1, 10)]), 2, ids(&[(0, 30), (0, 10)])),
        ];
        for (committed, keep, expected) in table {
            assert_eq!(outdated(committed.clone(), keep), expected, "{committed:?} keep {keep}");
        }
    }
}
