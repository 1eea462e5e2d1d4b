//! Uploading a folder: every file, the commit last.
//!
//! Files lie under their own names, so that any tool reads the result as it is. A file that is there already with that length and digest
//! is not sent again, so an interrupted upload goes on where it was. The commit is written under a condition: if somebody has written
//! one since this upload looked, it looks again, and gives way to a higher attempt.

mod commit;
mod folder;

use crate::error::{Error, Kind, Result};
use crate::object::{Bucket, Condition, LocalFile};
use crate::progress::Progress;
use crate::settings::Settings;
use commit::Standing;
pub use commit::Writer;
pub(crate) use commit::{COMMIT, Commit, Entry};
pub(crate) use folder::hash;
use futures_util::{StreamExt, TryStreamExt};
use std::collections::BTreeMap;
use std::path::Path;
use temper_contract::config::Remote;

/// How often an upload starts over because somebody else committed meanwhile.
const MOST_ROUNDS: u32 = 4;

/// What an upload did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Files that were sent.
    pub sent: Vec<String>,
    /// Files that were there already.
    pub there: Vec<String>,
    /// All their bytes.
    pub bytes: u64,
}

/// Uploads every file of a folder to below `target`. `on_progress` is told the bytes that are there, and all of them.
pub async fn upload(
    folder: &Path,
    target: &Remote,
    writer: &Writer,
    settings: &Settings,
    on_progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Uploaded> {
    let bucket = crate::open::bucket(target, settings)?;
    let local = folder::files(folder).await?;
    if local.is_empty() {
        return Err(Error::invalid(folder.display().to_string(), "the folder is empty", "upload a folder with files in it"));
    }
    if local.contains_key(COMMIT) {
        let reason = format!("it holds a file of the name {COMMIT}, which an upload writes itself");
        return Err(Error::invalid(folder.display().to_string(), reason, "remove that file"));
    }
    run(&bucket, &local, writer, settings, on_progress).await.map_err(|error| bucket.strike_out(error))
}

async fn run(
    bucket: &Bucket,
    local: &BTreeMap<String, LocalFile>,
    writer: &Writer,
    settings: &Settings,
    on_progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Uploaded> {
    let entries = local.iter().map(|(name, file)| (name.clone(), Entry { sha256: file.sha256.clone(), bytes: file.bytes })).collect();
    let commit = Commit::new(writer, entries);
    let key = bucket.child(COMMIT)?;
    let mut sent = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let (earlier, condition) = match bucket.read(&key).await? {
            None => (None, Condition::Absent),
            // One that cannot be read is somebody's broken file: replace it.
            Some(text) => (Commit::parse(&text.bytes).ok(), Condition::Unchanged(text.version)),
        };
        if let Some(there) = earlier.as_ref().filter(|there| there.standing(writer) == Standing::Superseded) {
            return Err(superseded(bucket.uri(), writer, there));
        }
        let progress = Progress::new(commit.files.values().map(|entry| entry.bytes).sum(), on_progress);
        sent.extend(send(bucket, local, settings, &progress).await?);
        let is_committed = earlier.as_ref() == Some(&commit) || bucket.put_if(&key, commit.to_json(), condition).await?;
        if is_committed {
            let left_over = earlier.iter().flat_map(|there| there.files.keys()).filter(|name| !local.contains_key(*name));
            for name in left_over {
                bucket.remove(&bucket.child(name)?).await?;
            }
            sent.sort();
            sent.dedup();
            let there = local.keys().filter(|name| !sent.contains(name)).cloned().collect();
            return Ok(Uploaded { sent, there, bytes: progress.total() });
        }
    }
    Err(Error::new(
        Kind::Unreachable,
        bucket.uri(),
        "others write there at the same time, again and again",
        "give each job an output of its own, and run again",
    ))
}

async fn send(bucket: &Bucket, local: &BTreeMap<String, LocalFile>, settings: &Settings, progress: &Progress<'_>) -> Result<Vec<String>> {
    let transfers = futures_util::stream::iter(local).map(|(name, file)| async move {
        let key = bucket.child(name)?;
        if bucket.has(&key, file).await? {
            progress.add(file.bytes);
            return Ok(None);
        }
        bucket.put_file(&key, file, &|bytes| progress.add(bytes)).await?;
        Ok(Some(name.clone()))
    });
    let sent: Vec<Option<String>> = transfers.buffer_unordered(settings.concurrency.max(1)).try_collect().await?;
    Ok(sent.into_iter().flatten().collect())
}

fn superseded(uri: &str, writer: &Writer, there: &Commit) -> Error {
    Error::new(
        Kind::Superseded,
        uri,
        format!("attempt {} has written there already, and this is attempt {}", there.writer.attempt, writer.attempt),
        "nothing: the newer attempt's upload stands",
    )
}
