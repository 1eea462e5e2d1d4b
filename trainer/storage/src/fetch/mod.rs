//! Fetching a remote place into a folder.
//!
//! ```text
//! TARGET/config.json ...                      complete files, each renamed to its name when it was verified
//! TARGET/.fetch/fetch-manifest.json           what is there and from where; says `complete` when all of it is
//! TARGET/.fetch/parts/NAME-VERSION.part       files that are not complete yet
//! ```
//!
//! Killed at any point, the next call goes on: complete files are kept, parts grow on, and a part of another version of the file is
//! another part. A folder whose manifest matches the remote place is left as it is. One process fetches at a time; a second one waits.

mod download;
mod manifest;
mod part;
mod selection;

use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::source::Source;
use download::{Folders, download};
use futures_util::StreamExt;
use manifest::Manifest;
pub use selection::{Purpose, Skipped};
use selection::{Selection, select};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use temper_contract::config::Remote;

/// What of a target is not the place's own: readers pass over hidden names.
pub(crate) const HOME: &str = ".fetch";

/// The manifest is written about so often, however many files there are.
const MOST_WRITES: usize = 50;
/// A file of this size is not fetched again for want of a written manifest.
const WORTH_WRITING: u64 = 16 << 20;

/// What a fetched folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The commit that the revision named, for the hub.
    pub revision: Option<String>,
    /// Each file's SHA-256 in hexadecimal, by its path in the folder.
    pub files: BTreeMap<String, String>,
    /// All their bytes.
    pub bytes: u64,
    /// What was left where it is.
    pub skipped: Vec<Skipped>,
    /// Whether everything was there already.
    pub reused: bool,
}

/// Brings what is at `remote` into the folder `target`. `on_progress` is told the bytes that are there, and all of them.
pub async fn fetch(
    remote: &Remote,
    purpose: Purpose,
    target: &Path,
    settings: &Settings,
    on_progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Fetched> {
    let source = crate::open::source(remote, settings)?;
    run(&source, &remote.uri, purpose, target, settings, on_progress).await.map_err(|error| match &source {
        Source::Bucket(bucket) => bucket.strike_out(error),
        Source::Hub(hub) => hub.strike_out(error),
    })
}

async fn run(
    source: &Source,
    uri: &str,
    purpose: Purpose,
    target: &Path,
    settings: &Settings,
    on_progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Fetched> {
    let listing = source.list().await?;
    let selection = select(purpose, uri, &listing)?;
    let home = target.join(HOME);
    let parts = home.join("parts");
    let _lock = claim(target, &home).await?;
    let earlier = Manifest::read(&home).filter(|manifest| manifest.source == uri);
    let is_there = |name: &String| earlier.as_ref().is_some_and(|manifest| manifest.has(target, name, &selection.wanted[name]));
    let progress = Progress::new(selection.wanted.values().map(|file| file.size).sum(), on_progress);
    let mut manifest = Manifest::new(uri, listing.revision.clone());
    for name in selection.wanted.keys().filter(|name| is_there(name)) {
        progress.add(selection.wanted[name].size);
        let record = earlier.as_ref().and_then(|earlier| earlier.files.get(name));
        manifest.files.extend(record.map(|record| (name.clone(), record.clone())));
    }
    let is_complete = |manifest: &Manifest| manifest.files.len() == selection.wanted.len();
    if is_complete(&manifest) && earlier.as_ref().is_some_and(|earlier| earlier.complete && earlier.files == manifest.files) {
        return Ok(fetched(manifest, selection, true));
    }
    // From here on the folder is not what its manifest said.
    manifest.write(&home)?;
    remove_others(target, "", &selection)?;
    fs::create_dir_all(&parts).map_err(Error::at("make the folder", &parts))?;
    let missing: Vec<&String> = selection.wanted.keys().filter(|name| !manifest.files.contains_key(*name)).collect();
    let folders = Folders { target, parts: &parts };
    let downloads = futures_util::stream::iter(missing).map(|name| {
        let (selection, folders, progress) = (&selection, &folders, &progress);
        async move {
            let record = download(source, uri, name, &selection.wanted[name], folders, settings, progress).await?;
            Ok::<_, Error>((name.clone(), record))
        }
    });
    let mut downloads = downloads.buffer_unordered(settings.concurrency.max(1));
    let mut unwritten = Unwritten::default();
    while let Some(downloaded) = downloads.next().await {
        let (name, record) = downloaded?;
        let is_due = unwritten.add(record.bytes, selection.wanted.len());
        manifest.files.insert(name, record);
        if is_due {
            manifest.write(&home)?;
        }
    }
    drop(downloads);
    fs::remove_dir_all(&parts).map_err(Error::at("remove", &parts))?;
    manifest.complete = true;
    manifest.write(&home)?;
    Ok(fetched(manifest, selection, false))
}

/// Files that are complete and not in the manifest yet: after a kill they come again, so that they are few, and small ones.
#[derive(Default)]
struct Unwritten {
    files: usize,
    bytes: u64,
}

impl Unwritten {
    /// Whether the manifest is to be written with this file, of so many.
    fn add(&mut self, bytes: u64, of: usize) -> bool {
        self.files += 1;
        self.bytes += bytes;
        let is_due = self.files > of / MOST_WRITES || self.bytes >= WORTH_WRITING;
        if is_due {
            *self = Self::default();
        }
        is_due
    }
}

fn fetched(manifest: Manifest, selection: Selection, reused: bool) -> Fetched {
    Fetched {
        revision: manifest.revision,
        bytes: manifest.files.values().map(|record| record.bytes).sum(),
        files: manifest.files.into_iter().map(|(name, record)| (name, record.sha256)).collect(),
        skipped: selection.skipped,
        reused,
    }
}

/// Makes the folder this process's to write in, as long as the result lives. A folder with anything else in it is somebody's.
async fn claim(target: &Path, home: &Path) -> Result<File> {
    if !home.is_dir() {
        let mut entries = match fs::read_dir(target) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::storage("list", target, &error)),
        };
        // `lost+found` is what a fresh volume has.
        if let Some(entry) = entries.as_mut().and_then(|entries| entries.flatten().find(|entry| entry.file_name() != "lost+found")) {
            let reason = format!("it holds {}, which was not fetched", entry.file_name().to_string_lossy());
            return Err(Error::invalid(target.display().to_string(), reason, "fetch into a folder of its own"));
        }
    }
    fs::create_dir_all(home).map_err(Error::at("make the folder", home))?;
    let path = home.join("lock");
    let file = File::create(&path).map_err(Error::at("open", &path))?;
    let locked = tokio::task::spawn_blocking(move || match file.lock() {
        // Some network file systems have no locks; there, the executor's one pod has to do.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    });
    locked.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(Error::at("lock", &path))
}

/// Removes files of an earlier state of the remote place.
fn remove_others(target: &Path, prefix: &str, selection: &Selection) -> Result<()> {
    let folder = target.join(prefix);
    for entry in fs::read_dir(&folder).map_err(Error::at("list", &folder))? {
        let entry = entry.map_err(Error::at("list", &folder))?;
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if name == HOME || name == "lost+found" {
            continue;
        }
        if entry.file_type().map_err(Error::at("read", &path))?.is_dir() {
            remove_others(target, &format!("{name}/"), selection)?;
        } else if !selection.wanted.contains_key(&name) {
            fs::remove_file(&path).map_err(Error::at("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Unwritten, WORTH_WRITING};

    #[test]
    fn the_manifest_is_written_seldom_for_small_files_and_at_once_for_large_ones() {
        let count = |bytes, of| {
            let mut unwritten = Unwritten::default();
            (0..of).filter(|_| unwritten.add(bytes, of)).count()
        };
        assert_eq!(count(100, 3), 3);
        assert!((40..=60).contains(&count(100, 10_000)));
        assert_eq!(count(WORTH_WRITING, 1000), 1000);
    }
}
