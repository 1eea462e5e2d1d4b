//! Where things lie in the repository.

use std::path::{Path, PathBuf};

/// A path in the repository, from one relative to its root.
pub fn path(relative: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

/// The text of a file of the repository.
///
/// # Errors
/// When it cannot be read, with its path.
pub fn read(relative: impl AsRef<Path>) -> anyhow::Result<String> {
    let path = path(relative);
    std::fs::read_to_string(&path).map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))
}
