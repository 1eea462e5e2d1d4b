//! Remote places with their Secrets, folders with files, and short patience.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use temper_contract::config::{Credentials, Remote};
use temper_storage::{Error, Settings};
use tempfile::TempDir;

/// Patience for servers on loopback.
pub(crate) fn settings() -> Settings {
    Settings {
        retries: 3,
        first_backoff: Duration::from_millis(5),
        longest_backoff: Duration::from_millis(20),
        part_size: 5 << 20,
        ..Settings::default()
    }
}

/// A URI without a Secret.
pub(crate) fn open(uri: &str) -> Remote {
    Remote { uri: uri.to_owned(), revision: None, credentials: None }
}

/// A URI with a Secret of these keys.
pub(crate) fn with_secret(uri: &str, name: &str, keys: &[(&str, &str)]) -> (Remote, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    for (key, value) in keys {
        fs::write(folder.path().join(key), value).expect("written");
    }
    let credentials = Credentials { secret: name.to_owned(), folder: folder.path().to_owned() };
    (Remote { uri: uri.to_owned(), revision: None, credentials: Some(credentials) }, folder)
}

/// Progress that nobody looks at.
pub(crate) fn quiet(_done: u64, _total: u64) {}

/// Bytes that are the same each time, and no two pieces of them.
pub(crate) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut content = Vec::with_capacity(length + 8);
    while content.len() < length {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(length);
    content
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("made");
        fs::write(path, content).expect("written");
    }
    folder
}

/// The files that a reader of a folder sees: not the hidden ones.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(folder, "", &mut found);
    found
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("it is there").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        if name.starts_with('.') {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), found);
        } else {
            found.insert(format!("{prefix}{name}"), fs::read(entry.path()).expect("readable"));
        }
    }
}

/// Checks that an error is complete: it names the place, says why and what to do.
#[track_caller]
pub(crate) fn assert_explains(error: &Error, kind: temper_storage::Kind, place: &str, reason: &str, next_step: &str) {
    assert_eq!(error.kind, kind, "{error:?}");
    assert!(error.place.contains(place), "{place:?} in {error:?}");
    assert!(error.reason.contains(reason), "{reason:?} in {error:?}");
    assert!(error.next_step.contains(next_step), "{next_step:?} in {error:?}");
}
