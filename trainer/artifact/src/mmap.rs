//! Files mapped into memory, read-only.
#![allow(unsafe_code)]

use crate::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A read-only map of a whole file.
#[derive(Debug)]
pub(crate) struct MappedFile {
    path: PathBuf,
    /// `None` for an empty file, which cannot be mapped.
    map: Option<memmap2::Mmap>,
}

impl MappedFile {
    /// Maps the file; reads nothing yet.
    pub(crate) fn open(path: &Path) -> Result<MappedFile, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let metadata = file.metadata().map_err(Error::io("read the size of", path))?;
        if !metadata.is_file() {
            return Err(Error::damaged(path, "it is not a regular file"));
        }
        let map = if metadata.len() == 0 {
            None
        } else {
            // SAFETY: the map is private and read-only, and bytes of it are only ever read as plain numbers, for which every bit pattern is
            // valid. What cannot be excluded is that another process shortens the file meanwhile (the kernel then ends this process with
            // SIGBUS) or rewrites it (values change); model files are immutable while a job runs, and its digest is checked.
            let map = unsafe { memmap2::Mmap::map(&file) };
            Some(map.map_err(Error::io("map", path))?)
        };
        Ok(MappedFile { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}
