//! In-place restarts of a run, counted in its folder: they draw on the same `maxRestarts` as new attempts.

use crate::durable::{read_json, write_json};
use crate::failure::Result;
use std::path::Path;
use temper_contract::layout;
use temper_contract::report::Restarts;

/// In-place restarts so far, over all attempts.
pub(crate) fn count(run_folder: &Path) -> Result<u64> {
    Ok(read_json::<Restarts>(&run_folder.join(layout::RESTARTS))?.map_or(0, |restarts| restarts.in_place))
}

/// Counts one more; returns the new number.
pub(crate) fn add(run_folder: &Path) -> Result<u64> {
    let in_place = count(run_folder)? + 1;
    write_json(&run_folder.join(layout::RESTARTS), &Restarts { in_place })?;
    Ok(in_place)
}

#[cfg(test)]
mod tests {
    #[test]
    fn restarts_add_up() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(super::count(folder.path()).expect("none yet"), 0);
        super::add(folder.path()).expect("writable");
        assert_eq!(super::add(folder.path()).expect("writable"), 2);
        assert_eq!(super::count(folder.path()).expect("readable"), 2);
    }
}
