//! Files mapped into memory, read-only.
#![allow(unsafe_code)]

use crate::Error;
use std::fs::File;
use std::path::Path;

/// A read-only map of a whole file.
#[derive(Debug)]
pub(super) struct MappedFile {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<memmap2::Mmap>,
}

impl MappedFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        if file.metadata().map_err(Error::io("read the size of", path))?.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the map is private and read-only and its bytes are read as plain integers, for which every bit pattern is valid. A
        // token cache is written aside and renamed, never changed in place, so nothing of ours shortens a mapped file (which would end
        // the process with SIGBUS).
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(Error::io("map", path))?;
        Ok(Self { map: Some(map) })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}
