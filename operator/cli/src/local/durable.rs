//! Files that are whole or not there, whenever the process or the machine dies: written aside, synced, renamed.

use crate::local::disk;
use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Replaces a file's content as one step. Only one process at a time may write a given file (callers hold a lock).
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(disk::refused(|| format!("cannot make the folder {}", folder.display())))?;
    }
    temper_artifact::write::atomic(path, content).map_err(disk::refused_artifact)
}

/// Replaces a file by the value as JSON.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).with_context(|| format!("cannot express {} as JSON", path.display()))?;
    text.push(b'\n');
    write(path, &text)
}

/// The value in a JSON file; `None` if there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .with_context(|| format!("cannot understand {}; if an older temper wrote it, start over with --fresh", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(disk::refused(|| format!("cannot read {}", path.display()))(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{read_json, write_json};

    #[test]
    fn what_is_written_reads_back_and_leaves_nothing_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/er/state.json");
        assert_eq!(read_json::<Vec<u32>>(&path).expect("absent"), None);
        write_json(&path, &vec![1, 2]).expect("written");
        write_json(&path, &vec![3]).expect("replaced");
        assert_eq!(read_json::<Vec<u32>>(&path).expect("present"), Some(vec![3]));
        assert_eq!(std::fs::read_dir(path.parent().expect("a parent")).expect("listing").count(), 1);
    }

    #[test]
    fn a_torn_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state.json");
        std::fs::write(&path, "[1, ").expect("written");
        let message = format!("{:#}", read_json::<Vec<u32>>(&path).expect_err("torn"));
        assert!(message.contains("state.json") && message.contains("--fresh"), "{message}");
    }
}
