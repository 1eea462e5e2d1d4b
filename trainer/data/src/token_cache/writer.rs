//! Writing a token cache aside, in one pass, with bounded memory (16 bytes a row besides the buffers).

use super::manifest::VERSION;
use super::{MANIFEST, Manifest, ROW_SEGMENTS, ROWS, SEGMENTS, TARGETS, TOKENS};
use crate::Error;
use crate::packing::best_fit_decreasing;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use temper_contract::report::DatasetCounts;

/// Takes segments one after another and leaves a token cache behind.
///
/// Everything goes to `FOLDER.partial` first; [`Writer::finish`] makes it durable and [`Finished::commit`] renames it, so a process
/// killed at any moment leaves either the old cache, or the new one, or none.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    partial: PathBuf,
    tokens: HashedFile,
    targets: HashedFile,
    /// Where each segment starts, and the end.
    offsets: Vec<u64>,
    target_tokens: u64,
}

/// A cache that is written and durable, but not yet where it belongs.
#[derive(Debug)]
pub struct Finished {
    folder: PathBuf,
    partial: PathBuf,
    manifest: Manifest,
}

impl Writer {
    /// Starts a cache that will be in `folder`.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        let mut name = folder.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = folder.with_file_name(name);
        remove(&partial)?;
        fs::create_dir_all(&partial).map_err(Error::io("make the folder", &partial))?;
        let tokens = HashedFile::create(partial.join(TOKENS))?;
        let targets = HashedFile::create(partial.join(TARGETS))?;
        Ok(Self { folder: folder.to_owned(), partial, tokens, targets, offsets: vec![0], target_tokens: 0 })
    }

    /// Adds one data row. `targets` has a 0 or 1 for each id.
    pub fn push(&mut self, ids: &[u32], targets: &[u8]) -> Result<(), Error> {
        debug_assert_eq!(ids.len(), targets.len(), "a target flag for each token");
        self.tokens.write(bytemuck::cast_slice(ids))?;
        self.targets.write(targets)?;
        self.offsets.push(self.offsets[self.offsets.len() - 1] + ids.len() as u64);
        // A segment's first token is predicted from nothing.
        self.target_tokens += targets.iter().skip(1).filter(|&&target| target != 0).count() as u64;
        Ok(())
    }

    /// Segments so far.
    pub fn segments(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Tokens so far.
    pub fn tokens(&self) -> u64 {
        self.offsets[self.offsets.len() - 1]
    }

    /// Tokens so far that the loss counts.
    pub fn target_tokens(&self) -> u64 {
        self.target_tokens
    }

    /// Makes examples of the segments (rows of at most `pack_to` tokens where that is given) and writes everything to disk.
    pub fn finish(self, digest: &str, pack_to: Option<usize>) -> Result<Finished, Error> {
        let lengths: Vec<usize> = self.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).collect();
        let (mut rows, mut row_segments) = (vec![0u64], Vec::with_capacity(lengths.len()));
        match pack_to {
            Some(capacity) => {
                for row in best_fit_decreasing(&lengths, capacity) {
                    row_segments.extend(row.into_iter().map(|segment| segment as u64));
                    rows.push(row_segments.len() as u64);
                }
            }
            None => {
                row_segments.extend(0..lengths.len() as u64);
                rows.extend(1..=lengths.len() as u64);
            }
        }
        let examples = rows.len() as u64 - 1;
        if examples > u64::from(u32::MAX) {
            return Err(Error::cache(&self.folder, format!("{examples} examples are more than the {} it can hold", u32::MAX)));
        }
        let mut files = BTreeMap::new();
        files.insert(TOKENS.to_owned(), self.tokens.close()?);
        files.insert(TARGETS.to_owned(), self.targets.close()?);
        for (name, numbers) in [(SEGMENTS, &self.offsets), (ROWS, &rows), (ROW_SEGMENTS, &row_segments)] {
            let mut file = HashedFile::create(self.partial.join(name))?;
            file.write(bytemuck::cast_slice(numbers))?;
            files.insert(name.to_owned(), file.close()?);
        }
        let manifest = Manifest {
            version: VERSION,
            digest: digest.to_owned(),
            examples,
            segments: lengths.len() as u64,
            tokens: self.offsets[self.offsets.len() - 1],
            target_tokens: self.target_tokens,
            files,
            counts: DatasetCounts::default(),
        };
        Ok(Finished { folder: self.folder, partial: self.partial, manifest })
    }
}

impl Finished {
    /// What will be in the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes the manifest, last of all, and puts the cache where it belongs, in place of an older one.
    pub fn commit(mut self, counts: &DatasetCounts) -> Result<(), Error> {
        self.manifest.counts = counts.clone();
        let mut file = HashedFile::create(self.partial.join(MANIFEST))?;
        // Plain fields with string keys always serialise.
        file.write(&serde_json::to_vec_pretty(&self.manifest).unwrap_or_default())?;
        file.close()?;
        sync_folder(&self.partial)?;
        remove(&self.folder)?;
        fs::rename(&self.partial, &self.folder).map_err(Error::io("rename to its final name", &self.partial))?;
        sync_folder(self.folder.parent().unwrap_or(Path::new(".")))
    }
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", folder)(error)),
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("make durable", folder))
}

/// A file whose SHA-256 is computed while it is written.
#[derive(Debug)]
struct HashedFile {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
}

impl HashedFile {
    fn create(path: PathBuf) -> Result<Self, Error> {
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 18, file), hash: Sha256::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    /// Makes the file durable and returns its digest.
    fn close(self) -> Result<String, Error> {
        let file = self.file.into_inner().map_err(|error| Error::io("write", &self.path)(error.into_error()))?;
        file.sync_all().map_err(Error::io("make durable", &self.path))?;
        let hex: String = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("sha256:{hex}"))
    }
}
