//! What a token cache says about itself.

use super::{MANIFEST, ROW_SEGMENTS, ROWS, SEGMENTS, TARGETS, TOKENS};
use crate::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use temper_contract::report::DatasetCounts;

/// The layout's number; another one is rebuilt.
pub(crate) const VERSION: u32 = 1;

/// The cache's counts and what it was made from. Written last: a cache without it does not exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The layout's number.
    pub version: u32,
    /// Digest of everything the tokens depend on.
    pub digest: String,
    /// Number of examples.
    pub examples: u64,
    /// Number of segments.
    pub segments: u64,
    /// Number of tokens.
    pub tokens: u64,
    /// Number of tokens that the loss counts.
    pub target_tokens: u64,
    /// SHA-256 of each file's content.
    pub files: BTreeMap<String, String>,
    /// Rows by fate, of the whole preparation.
    pub counts: DatasetCounts,
}

/// The sizes, in bytes, that the files must have.
pub(super) struct Sizes {
    pub(super) tokens: u64,
    pub(super) targets: u64,
    pub(super) segments: u64,
    pub(super) rows: u64,
    pub(super) row_segments: u64,
}

impl Manifest {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let folder = path.parent().unwrap_or(path);
        let text = std::fs::read(path).map_err(Error::io("read", path))?;
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|error| Error::cache(folder, format!("{MANIFEST} cannot be read: {error}")))?;
        if manifest.version != VERSION {
            return Err(Error::cache(folder, format!("its layout is version {}, this program reads {VERSION}", manifest.version)));
        }
        Ok(manifest)
    }

    pub(super) fn sizes(&self) -> Option<Sizes> {
        Some(Sizes {
            tokens: self.tokens.checked_mul(4)?,
            targets: self.tokens,
            segments: self.segments.checked_add(1)?.checked_mul(8)?,
            rows: self.examples.checked_add(1)?.checked_mul(8)?,
            row_segments: self.segments.checked_mul(8)?,
        })
    }

    /// Whether every file has the content that it was written with. Reads all of them.
    pub(crate) fn verify(&self, folder: &Path) -> Result<(), Error> {
        for name in [TOKENS, TARGETS, SEGMENTS, ROWS, ROW_SEGMENTS] {
            let path = folder.join(name);
            let digest = temper_artifact::digest::file(&path)?;
            if self.files.get(name) != Some(&digest) {
                return Err(Error::cache(folder, format!("{name} does not have the content that it was written with")));
            }
        }
        Ok(())
    }
}
