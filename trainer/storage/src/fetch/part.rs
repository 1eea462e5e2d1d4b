//! A file that is not complete yet: bytes go to disk and into the digest on a thread of their own, a few buffers behind the network.

use crate::digest::{Check, Hasher};
use crate::error::{Error, Result};
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Buffers on their way to the disk: bounds memory.
const BUFFERS: usize = 16;
/// So many bytes are made durable at a time.
const SYNC_EVERY: u64 = 8 << 20;

/// The open end of a part.
pub(super) struct Part {
    path: PathBuf,
    /// Bytes that the part has, or is about to have.
    pub(super) length: u64,
    buffers: mpsc::Sender<Bytes>,
    writer: JoinHandle<io::Result<Hasher>>,
}

impl Part {
    /// Opens the part of an earlier run, or a new one.
    pub(super) async fn open(path: &Path, check: Option<Check>, size: u64) -> Result<Self> {
        let owned = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || resume(&owned, check.as_ref(), size));
        let (file, hasher, length) = joined(opened.await).map_err(Error::at("open", path))?;
        let (buffers, receiver) = mpsc::channel(BUFFERS);
        let writer = tokio::task::spawn_blocking(move || write(file, hasher, length, receiver));
        Ok(Self { path: path.to_owned(), length, buffers, writer })
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.length += bytes.len() as u64;
        if self.buffers.send(bytes).await.is_ok() {
            return Ok(());
        }
        // The writer ends before the sender only when it fails.
        let failure = joined((&mut self.writer).await).err();
        let failure = failure.unwrap_or_else(|| io::Error::other("the writer ended"));
        Err(Error::storage("write", &self.path, &failure))
    }

    /// Waits until everything is durable; gives the digest of all of it.
    pub(super) async fn finish(self) -> Result<Hasher> {
        drop(self.buffers);
        joined(self.writer.await).map_err(Error::at("write", &self.path))
    }
}

fn joined<T>(result: Result<io::Result<T>, tokio::task::JoinError>) -> io::Result<T> {
    result.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Opens the file and hashes what can be kept of it.
fn resume(path: &Path, check: Option<&Check>, size: u64) -> io::Result<(File, Hasher, u64)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let length = file.metadata()?.len();
    let kept = match check {
        _ if length > size => 0,
        // The digest of the whole will tell.
        Some(_) => length,
        // Of what was written last before a machine went down, only what was made durable counts.
        None => (length / SYNC_EVERY).saturating_sub(1) * SYNC_EVERY,
    };
    file.set_len(kept)?;
    let mut hasher = Hasher::new(check, size);
    let mut buffer = vec![0; 1 << 20];
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((file, hasher, kept))
}

fn write(mut file: File, mut hasher: Hasher, mut length: u64, mut buffers: mpsc::Receiver<Bytes>) -> io::Result<Hasher> {
    while let Some(bytes) = buffers.blocking_recv() {
        file.write_all(&bytes)?;
        hasher.update(&bytes);
        let before = length / SYNC_EVERY;
        length += bytes.len() as u64;
        if length / SYNC_EVERY > before {
            file.sync_data()?;
        }
    }
    file.sync_all()?;
    Ok(hasher)
}

/// Gives the part its name, durably.
pub(super) fn commit(part: &Path, name: &Path) -> Result<()> {
    let folder = name.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::at("make the folder", folder))?;
    std::fs::rename(part, name).map_err(Error::at("rename to", name))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::at("make durable", folder))
}

/// Throws a part away.
pub(super) fn discard(part: &Path) -> Result<()> {
    match std::fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::storage("remove", part, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, SYNC_EVERY};
    use crate::digest::Check;
    use bytes::Bytes;

    /// From `printf abcdef | sha256sum`.
    const ABCDEF: &str = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";

    #[tokio::test]
    async fn a_part_goes_on_where_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.part");
        let check = Some(Check::Sha256(ABCDEF.to_owned()));
        let mut part = Part::open(&path, check.clone(), 6).await.expect("opened");
        part.write(Bytes::from_static(b"abc")).await.expect("written");
        let _ = part.finish().await.expect("durable");
        let mut part = Part::open(&path, check.clone(), 6).await.expect("opened");
        assert_eq!(part.length, 3);
        part.write(Bytes::from_static(b"def")).await.expect("written");
        let hasher = part.finish().await.expect("durable");
        assert_eq!(hasher.finish(check.as_ref()).as_deref(), Ok(ABCDEF));
        // Longer than the file can be: it is of something else.
        assert_eq!(Part::open(&path, check, 5).await.expect("opened").length, 0);
    }

    #[tokio::test]
    async fn without_a_digest_only_what_was_made_durable_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.part");
        let length = 3 * SYNC_EVERY + 5;
        std::fs::File::create(&path).and_then(|file| file.set_len(length)).expect("made");
        assert_eq!(Part::open(&path, None, length + 1).await.expect("opened").length, 2 * SYNC_EVERY);
    }
}
