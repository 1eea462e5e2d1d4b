//! Whether this attempt is still the one that counts: a file in the run's folder tells which attempt has begun last.
//!
//! Checkpoints of a higher attempt have two reasons. The executor has lost count and began at zero again; then this attempt writes above
//! them. Or it gave this attempt up, whose node nobody reaches, and began another; when this one's ranks then start again in place, readers
//! must not prefer what they write to what the other attempt does.

use crate::durable::{read_json, write_json};
use serde::{Deserialize, Serialize};
use std::path::Path;

const BEGUN: &str = "begun.json";

#[derive(Serialize, Deserialize)]
struct Begun {
    attempt: u64,
}

/// Notes that the attempt begins, in its first generation; in a later one, whether none of a higher number has begun since. Asked by rank
/// 0 only.
pub(super) fn is_newest(run_folder: &Path, attempt: u64, generation: u64) -> bool {
    let path = run_folder.join(BEGUN);
    if generation > 0 {
        // What cannot be read is nobody's note: an attempt that died before it left one has no successor.
        let begun = read_json::<Begun>(&path).ok().flatten();
        return begun.is_none_or(|begun| begun.attempt <= attempt);
    }
    if let Err(failure) = write_json(&path, &Begun { attempt }) {
        tracing::warn!("{failure}");
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_newest;

    #[test]
    fn an_attempt_that_was_replaced_is_told_from_one_whose_executor_lost_count() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let is_newest = |attempt, generation| is_newest(folder.path(), attempt, generation);
        assert!(is_newest(0, 1), "nothing is known of another");
        assert!(is_newest(0, 0) && is_newest(0, 1));
        assert!(is_newest(1, 0));
        assert!(!is_newest(0, 2), "attempt 1 has begun since");
        assert!(is_newest(1, 1));
        // Counted from zero again.
        assert!(is_newest(0, 0) && is_newest(0, 1));
    }
}
