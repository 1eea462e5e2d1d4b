//! Which checkpoints are outdated. Decides only; the store removes.

use super::id::Id;

/// What `saved`, just committed, makes outdated: all but the `keep` most preferred, of those that readers do not prefer to it. So it is
/// never outdated itself. What they do prefer to it is another attempt's that began later, or was passed over for damage: that neither
/// counts as kept nor is this attempt's to remove.
pub(super) fn outdated(mut committed: Vec<Id>, keep: usize, saved: Id) -> Vec<Id> {
    committed.retain(|id| *id <= saved);
    committed.sort_unstable_by(|a, b| b.cmp(a));
    committed.split_off(keep.max(1).min(committed.len()))
}

#[cfg(test)]
mod tests {
    use super::{Id, outdated};

    #[test]
    fn the_newest_up_to_the_one_that_was_saved_are_kept() {
        let id = |(attempt, step): (u64, u64)| Id { attempt, step };
        let ids = |pairs: &[(u64, u64)]| pairs.iter().copied().map(id).collect::<Vec<_>>();
        let table = [
            (ids(&[]), 2, (0, 5), ids(&[])),
            (ids(&[(0, 5)]), 0, (0, 5), ids(&[])),
            (ids(&[(0, 5), (0, 15), (0, 10)]), 2, (0, 15), ids(&[(0, 5)])),
            // A late write of attempt 0 at step 30 does not displace attempt 1's.
            (ids(&[(0, 30), (1, 20), (0, 10), (1, 10)]), 2, (1, 20), ids(&[(0, 30), (0, 10)])),
            // Nor does attempt 0, when it writes late, remove attempt 1's.
            (ids(&[(0, 30), (1, 20), (0, 10), (1, 10)]), 1, (0, 30), ids(&[(0, 10)])),
            // Damaged ones of steps to come do not displace what is saved meanwhile.
            (ids(&[(0, 30), (0, 20), (0, 10), (0, 5)]), 2, (0, 10), ids(&[])),
            (ids(&[(0, 30), (0, 20), (0, 10), (0, 5)]), 1, (0, 10), ids(&[(0, 5)])),
        ];
        for (committed, keep, saved, expected) in table {
            assert_eq!(outdated(committed.clone(), keep, id(saved)), expected, "{committed:?} keep {keep} after {saved:?}");
        }
    }
}
