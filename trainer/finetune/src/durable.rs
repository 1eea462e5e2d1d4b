//! Writes that are on the disk when they return, or have not happened.

use crate::failure::{Failure, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(Failure::at("make durable", folder))
}

/// Makes a folder and those above it.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Failure::at("make the folder", folder))
}

/// Replaces a file's content by JSON: written aside, synchronised, renamed.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| Failure::unexpected(format!("{}: {error}", path.display())))?;
    bytes.push(b'\n');
    let aside = aside(path);
    let written = File::create(&aside)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&aside, path));
    if let Err(source) = written {
        let _ = fs::remove_file(&aside);
        return Err(Failure::storage("write", path, &source));
    }
    sync_folder(folder)
}

/// Reads JSON that [`write_json`] wrote; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::storage("read", path, &error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Failure::invalid(
            format!("failed to parse {}: {error}", path.display()),
            "remove the file if it was edited, and run the stage before it again",
        )
    })
}

/// A name beside `path` that readers ignore.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".tmp-{}-{name}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::{read_json, write_json};
    use temper_contract::ExitCode;

    #[test]
    fn json_reads_back_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a/b.json");
        write_json(&path, &[1, 2]).expect("writable");
        write_json(&path, &[3]).expect("replaces");
        assert_eq!(read_json::<Vec<i32>>(&path).expect("readable"), Some(vec![3]));
        assert_eq!(std::fs::read_dir(folder.path().join("a")).expect("there").count(), 1);
        assert_eq!(read_json::<Vec<i32>>(&folder.path().join("none.json")).expect("absent is no error"), None);
    }

    #[test]
    fn an_unusable_place_is_a_storage_failure() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("writable");
        let failure = write_json(&file.join("b.json"), &1).expect_err("a file is no folder");
        assert_eq!(failure.reason, ExitCode::Storage);
        let failure = read_json::<i32>(folder.path()).expect_err("a folder is no file");
        assert_eq!(failure.reason, ExitCode::Storage);
    }
}
