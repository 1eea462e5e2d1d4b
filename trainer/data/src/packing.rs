//! Filling rows of a maximum length with whole examples.

use std::collections::{BTreeMap, VecDeque};

/// Puts examples of the given lengths into rows of at most `capacity` tokens: best fit, longest first, as TRL's `pack_dataset` does with
/// its default strategy `bfd`, and with the same choice among equals, so that the rows have the same composition (TRL packs each
/// thousand examples apart, this packs all of them together). Returns the indexes of each row's examples. An example longer than
/// `capacity` is the caller's mistake and gets a row of its own; empty ones are left out.
pub fn best_fit_decreasing(lengths: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut longest_first: Vec<usize> = (0..lengths.len()).filter(|&example| lengths[example] > 0).collect();
    longest_first.sort_by_key(|&example| std::cmp::Reverse(lengths[example]));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    // Rows by the space left in them; among equals the one that came to have that space first.
    let mut rows_by_space: BTreeMap<usize, VecDeque<usize>> = BTreeMap::new();
    for example in longest_first {
        let length = lengths[example];
        let best = rows_by_space.range(length.max(1)..).next().map(|(&space, _)| space);
        let (row, space) = match best.and_then(|space| take_first(&mut rows_by_space, space).map(|row| (row, space))) {
            Some(found) => found,
            None => {
                rows.push(Vec::new());
                (rows.len() - 1, capacity)
            }
        };
        rows[row].push(example);
        let left = space.saturating_sub(length);
        if left > 0 {
            rows_by_space.entry(left).or_default().push_back(row);
        }
    }
    rows
}

fn take_first(rows_by_space: &mut BTreeMap<usize, VecDeque<usize>>, space: usize) -> Option<usize> {
    let rows = rows_by_space.get_mut(&space)?;
    let row = rows.pop_front();
    if rows.is_empty() {
        rows_by_space.remove(&space);
    }
    row
}

#[cfg(test)]
mod tests {
    #![expect(clippy::type_complexity, reason = "tables of cases")]

    use super::best_fit_decreasing;
    use proptest::prelude::*;

    #[test]
    fn rows_are_those_of_trl() {
        // Expected rows were made with TRL's `pack_dataset(..., strategy="bfd")`.
        let table: [(&[usize], usize, &[&[usize]]); 4] = [
            (&[5, 2, 3, 1, 4], 6, &[&[0, 3], &[4, 1], &[2]]),
            (&[3, 3, 3, 3], 6, &[&[0, 1], &[2, 3]]),
            (&[6, 6, 1], 6, &[&[0], &[1], &[2]]),
            (&[4, 4, 2, 2, 2, 1, 1, 6, 3], 6, &[&[7], &[0, 2], &[1, 3], &[8, 4, 5], &[6]]),
        ];
        for (lengths, capacity, rows) in table {
            assert_eq!(best_fit_decreasing(lengths, capacity), rows, "{lengths:?}");
        }
    }

    #[test]
    fn a_longer_list_packs_as_in_trl() {
        let lengths = [
            19, 12, 32, 27, 9, 32, 6, 10, 7, 5, 34, 15, 5, 34, 34, 48, 6, 12, 5, 24, 4, 28, 8, 12, 12, 12, 10, 14, 27, 23, 18, 14, 6, 29,
            14, 13, 12, 9, 14, 16, 4, 1, 15, 19, 2, 9, 4, 6, 20, 7, 4, 10, 12, 26, 2, 2, 20, 28, 4, 8,
        ];
        let rows: [&[usize]; 14] = [
            &[15, 39],
            &[10, 33, 41],
            &[13, 21, 44],
            &[14, 57, 54],
            &[2, 5],
            &[3, 28, 7],
            &[53, 19, 27],
            &[29, 48, 56],
            &[0, 43, 30, 22],
            &[11, 42, 31, 34, 6],
            &[38, 35, 1, 17, 23],
            &[24, 25, 36, 52, 26, 16],
            &[51, 4, 37, 45, 59, 8, 49, 9],
            &[32, 47, 12, 18, 20, 40, 46, 50, 58, 55],
        ];
        assert_eq!(best_fit_decreasing(&lengths, 64), rows);
    }

    proptest! {
        #[test]
        fn no_example_is_lost_and_no_row_overflows(lengths in proptest::collection::vec(1usize..50, 0..200), extra in 0usize..30) {
            let capacity = 50 + extra;
            let rows = best_fit_decreasing(&lengths, capacity);
            prop_assert!(rows.iter().all(|row| row.iter().map(|&example| lengths[example]).sum::<usize>() <= capacity));
            let mut packed: Vec<usize> = rows.into_iter().flatten().collect();
            packed.sort_unstable();
            prop_assert_eq!(packed, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
