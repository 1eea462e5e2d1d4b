//! Digests of a run's inputs, remembered by each file's size and times so that the second run need not read gigabytes.

use crate::exit::Stop;
use crate::local::durable;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file changed more recently than this may change again within the clock's resolution: its digest is not remembered.
const SETTLED: Duration = Duration::from_secs(2);
/// What to do about a file that is there and cannot be read.
const READABLE: &str = "let this user read it";

/// Digests of files, kept between runs.
#[derive(Debug)]
pub struct Digests {
    store: PathBuf,
    known: BTreeMap<PathBuf, Known>,
    changed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    digest: String,
}

/// What changes when a file's content does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    inode: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let newest = self.modified_ns.max(self.changed_ns);
        now.as_nanos().cast_signed() - newest >= SETTLED.as_nanos().cast_signed()
    }
}

impl Digests {
    /// The digests remembered in `store`; none if it is missing or cannot be understood (it is only a cache).
    pub fn open(store: PathBuf) -> Self {
        let known = durable::read_json(&store).ok().flatten().unwrap_or_default();
        Self { store, known, changed: false }
    }

    /// The digest of a file, or of a folder's file names and contents. `field` names what the path stands for, for messages.
    pub fn of(&mut self, path: &Path, field: &str) -> Result<String> {
        let missing = |error: std::io::Error| {
            Stop::invalid(format!("{field}: cannot read {}: {error}", path.display()), "check the path and the --volume folders")
        };
        let metadata = fs::metadata(path).map_err(missing)?;
        if metadata.is_file() {
            return self.of_file(path, field);
        }
        let mut names = Vec::new();
        list(path, "", &mut names).map_err(missing)?;
        if names.is_empty() {
            return Err(Stop::invalid(format!("{field}: the folder {} is empty", path.display()), "put the files there").into());
        }
        let entries = names.into_iter().map(|name| self.of_file(&path.join(&name), field).map(|digest| (name, digest)));
        Ok(temper_artifact::digest::of_entries(&entries.collect::<Result<_>>()?))
    }

    /// Writes what was learnt, for the next run.
    pub fn save(&mut self) -> Result<()> {
        if std::mem::take(&mut self.changed) {
            self.known.retain(|path, known| fs::metadata(path).is_ok_and(|metadata| Stamp::of(&metadata) == known.stamp));
            durable::write_json(&self.store, &self.known)?;
        }
        Ok(())
    }

    fn of_file(&mut self, path: &Path, field: &str) -> Result<String> {
        let unreadable = |error: std::io::Error| Stop::invalid(format!("{field}: cannot read {}: {error}", path.display()), READABLE);
        let absolute = path.canonicalize().map_err(unreadable)?;
        let stamp = Stamp::of(&fs::metadata(&absolute).map_err(unreadable)?);
        if let Some(known) = self.known.get(&absolute).filter(|known| known.stamp == stamp) {
            return Ok(known.digest.clone());
        }
        let digest = temper_artifact::digest::file(&absolute).map_err(|error| Stop::invalid(format!("{field}: {error}"), READABLE))?;
        if stamp.is_settled(SystemTime::now()) {
            self.known.insert(absolute, Known { stamp, digest: digest.clone() });
            self.changed = true;
        }
        Ok(digest)
    }
}

/// File names below a folder, with `/` between their parts. Follows links: model folders in a hub's cache are folders of links.
fn list(root: &Path, below: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if fs::metadata(entry.path())?.is_dir() { list(root, &format!("{name}/"), names)? } else { names.push(name) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Digests, Stamp};
    use crate::exit::{Exit, report};
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_folders_digest_depends_on_names_and_contents() {
        let root = tempfile::tempdir().expect("a folder");
        let data = root.path().join("data");
        fs::create_dir_all(data.join("b")).expect("made");
        fs::write(data.join("a"), "1").expect("written");
        fs::write(data.join("b/c"), "2").expect("written");
        let mut digests = Digests::open(root.path().join("digests.json"));
        let first = digests.of(&data, "spec.dataset.storageUri").expect("readable");
        assert_eq!(digests.of(&data, "").expect("readable"), first);
        fs::rename(data.join("b/c"), data.join("b/d")).expect("renamed");
        let renamed = digests.of(&data, "").expect("readable");
        fs::write(data.join("a"), "3").expect("written");
        let changed = digests.of(&data, "").expect("readable");
        assert!(first != renamed && renamed != changed && changed != first);
    }

    #[test]
    fn a_missing_input_names_its_field() {
        let root = tempfile::tempdir().expect("a folder");
        let mut digests = Digests::open(root.path().join("digests.json"));
        let error = digests.of(&root.path().join("none.jsonl"), "spec.dataset.storageUri").expect_err("missing").to_string();
        assert!(error.starts_with("spec.dataset.storageUri: cannot read") && error.contains("none.jsonl"), "{error}");
    }

    #[test]
    fn an_unreadable_input_names_its_field() {
        let root = tempfile::tempdir().expect("a folder");
        let mut digests = Digests::open(root.path().join("digests.json"));
        // A file that opens and cannot be read, not even by root: there is no memory at the address 0.
        let error = digests.of(Path::new("/proc/self/mem"), "spec.dataset.storageUri").expect_err("unreadable");
        let (exit, text) = report(&error);
        assert_eq!(exit, Exit::InvalidInput, "{text}");
        assert!(text.starts_with("error: spec.dataset.storageUri: ") && text.contains("/mem"), "{text}");
    }

    #[test]
    fn a_settled_files_digest_is_remembered_and_a_changed_one_is_read_again() {
        let root = tempfile::tempdir().expect("a folder");
        let (store, data) = (root.path().join("digests.json"), root.path().join("data"));
        fs::write(&data, "old").expect("written");
        let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::options().write(true).open(&data).and_then(|file| file.set_modified(an_hour_ago)).expect("set");
        let stamp = Stamp::of(&fs::metadata(&data).expect("there"));
        assert!(!stamp.is_settled(SystemTime::now()), "its status changed just now");
        assert!(stamp.is_settled(SystemTime::now() + Duration::from_secs(3)));
        let mut digests = Digests::open(store.clone());
        let old = digests.of(&data, "").expect("readable");
        fs::write(&data, "new").expect("written");
        assert_ne!(digests.of(&data, "").expect("readable"), old);
    }
}
