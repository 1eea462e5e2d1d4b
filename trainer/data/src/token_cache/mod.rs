//! Tokenised examples in a folder, mapped into memory: any number of ranks read the same pages, and opening costs nothing.
//!
//! | File | Holds |
//! |---|---|
//! | `tokens.u32` | every token id, segment after segment, little-endian |
//! | `targets.u8` | for every token 1 if the loss counts it, else 0 |
//! | `segments.u64` | where each segment starts among the tokens, and the end |
//! | `rows.u64` | where each example's list starts in `row-segments.u64`, and the end |
//! | `row-segments.u64` | the segments of each example, in their order |
//! | `manifest.json` | the digest of everything the tokens depend on, counts and file sizes; written last |
//!
//! A segment is one accepted data row. An example is what a batch is made of: one segment, or with packing a row of several that do not
//! see each other.

#[cfg(target_endian = "big")]
compile_error!("token caches are little-endian");

mod manifest;
mod mmap;
mod writer;

pub use manifest::Manifest;
pub use writer::Writer;

use crate::Error;
use mmap::MappedFile;
use std::path::Path;

pub(crate) const TOKENS: &str = "tokens.u32";
pub(crate) const TARGETS: &str = "targets.u8";
pub(crate) const SEGMENTS: &str = "segments.u64";
pub(crate) const ROWS: &str = "rows.u64";
pub(crate) const ROW_SEGMENTS: &str = "row-segments.u64";
pub(crate) const MANIFEST: &str = "manifest.json";

/// A token cache, open for reading.
#[derive(Debug)]
pub struct TokenCache {
    manifest: Manifest,
    tokens: MappedFile,
    targets: MappedFile,
    segments: MappedFile,
    rows: MappedFile,
    row_segments: MappedFile,
}

/// One data row's tokens: attention stays within them and positions start at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Token ids.
    pub ids: &'a [u32],
    /// For each token 1 if the loss counts its prediction, else 0. The first token of a segment has nothing to be predicted from, so its
    /// value has no effect.
    pub targets: &'a [u8],
}

/// What a batch is made of: one segment, or with packing several.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    cache: &'a TokenCache,
    segments: &'a [u64],
}

impl<'a> Example<'a> {
    /// Its segments, in order.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = Segment<'a>> + use<'a> {
        let cache = self.cache;
        self.segments.iter().map(move |&segment| cache.segment(segment as usize))
    }

    /// Tokens of all segments together.
    pub fn tokens(&self) -> usize {
        self.segments().map(|segment| segment.ids.len()).sum()
    }
}

impl TokenCache {
    /// Opens the folder's cache and checks that it is whole: sizes, and that every offset stays inside its file.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let manifest = Manifest::read(&folder.join(MANIFEST))?;
        let map = |name: &str, bytes: u64| -> Result<MappedFile, Error> {
            let path = folder.join(name);
            let file = MappedFile::open(&path)?;
            if file.bytes().len() as u64 == bytes {
                Ok(file)
            } else {
                Err(Error::cache(folder, format!("{name} has {} bytes where its manifest says {bytes}", file.bytes().len())))
            }
        };
        let sizes = manifest.sizes().ok_or_else(|| Error::cache(folder, "its manifest's counts are not possible"))?;
        let cache = Self {
            tokens: map(TOKENS, sizes.tokens)?,
            targets: map(TARGETS, sizes.targets)?,
            segments: map(SEGMENTS, sizes.segments)?,
            rows: map(ROWS, sizes.rows)?,
            row_segments: map(ROW_SEGMENTS, sizes.row_segments)?,
            manifest,
        };
        cache.check().map_err(|reason| Error::cache(folder, reason))?;
        Ok(cache)
    }

    fn check(&self) -> Result<(), String> {
        let rising = |name: &str, offsets: &[u64], end: u64| {
            let whole = offsets.first() == Some(&0) && offsets.last() == Some(&end) && offsets.windows(2).all(|pair| pair[0] <= pair[1]);
            if whole { Ok(()) } else { Err(format!("the offsets in {name} do not rise from 0 to {end}")) }
        };
        rising(SEGMENTS, numbers(&self.segments), self.manifest.tokens)?;
        rising(ROWS, numbers(&self.rows), self.manifest.segments)?;
        match numbers::<u64>(&self.row_segments).iter().find(|&&segment| segment >= self.manifest.segments) {
            Some(segment) => Err(format!("{ROW_SEGMENTS} names segment {segment} of {}", self.manifest.segments)),
            None => Ok(()),
        }
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.manifest.examples as usize
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of all examples.
    pub fn tokens(&self) -> u64 {
        self.manifest.tokens
    }

    /// Tokens that the loss counts, in one pass.
    pub fn target_tokens(&self) -> u64 {
        self.manifest.target_tokens
    }

    /// Digest of everything the tokens depend on.
    pub fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// What `prepare` wrote about the cache.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Example `index`, which must be less than [`TokenCache::len`].
    pub fn example(&self, index: usize) -> Example<'_> {
        let rows: &[u64] = numbers(&self.rows);
        let row_segments: &[u64] = numbers(&self.row_segments);
        Example { cache: self, segments: &row_segments[rows[index] as usize..rows[index + 1] as usize] }
    }

    fn segment(&self, index: usize) -> Segment<'_> {
        let offsets: &[u64] = numbers(&self.segments);
        let range = offsets[index] as usize..offsets[index + 1] as usize;
        Segment { ids: &numbers(&self.tokens)[range.clone()], targets: &self.targets.bytes()[range] }
    }
}

/// A file's numbers, written in this machine's byte order (little-endian on every machine that this is built for). A map begins at a page,
/// so it is aligned, and its size was checked; an empty file has no map and so no alignment.
fn numbers<T: bytemuck::AnyBitPattern>(file: &MappedFile) -> &[T] {
    if file.bytes().is_empty() { &[] } else { bytemuck::cast_slice(file.bytes()) }
}

#[cfg(test)]
mod tests;
