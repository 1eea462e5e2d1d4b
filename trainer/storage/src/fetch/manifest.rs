//! The file that says what a fetched folder holds and where it is from: `complete` only when everything is there.

use crate::error::{Error, Result};
use crate::source::RemoteFile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

const VERSION: u32 = 1;

/// Its name, in the fetched folder's hidden one.
pub(super) const MANIFEST: &str = "fetch-manifest.json";

/// What a folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) version: u32,
    /// The URI that was fetched.
    pub(super) source: String,
    /// The commit, for the hub.
    pub(super) revision: Option<String>,
    /// Whether every file is there.
    pub(super) complete: bool,
    pub(super) files: BTreeMap<String, Record>,
}

/// One file that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Its version at the source: an entity tag or a digest.
    pub(super) version: String,
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl Manifest {
    pub(super) fn new(source: &str, revision: Option<String>) -> Self {
        Self { version: VERSION, source: source.to_owned(), revision, complete: false, files: BTreeMap::new() }
    }

    /// The folder's manifest. One that cannot be read is as good as none: everything is checked again.
    pub(super) fn read(home: &Path) -> Option<Self> {
        let bytes = fs::read(home.join(MANIFEST)).ok()?;
        serde_json::from_slice(&bytes).ok().filter(|manifest: &Self| manifest.version == VERSION)
    }

    /// Replaces the manifest: written aside, made durable, renamed.
    pub(super) fn write(&self, home: &Path) -> Result<()> {
        let path = home.join(MANIFEST);
        let aside = home.join(format!("{MANIFEST}.part"));
        // Serialising plain fields and a map by strings cannot fail.
        let json = serde_json::to_vec_pretty(self).unwrap_or_default();
        File::create(&aside)
            .and_then(|mut file| file.write_all(&json).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&aside, &path))
            .and_then(|()| File::open(home)?.sync_all())
            .map_err(Error::at("write", &path))
    }

    /// Whether this file is in the folder already, in the version that is wanted.
    pub(super) fn has(&self, target: &Path, name: &str, wanted: &RemoteFile) -> bool {
        let recorded = self.files.get(name).filter(|record| record.version == wanted.version && record.bytes == wanted.size);
        recorded.is_some_and(|record| fs::metadata(target.join(name)).is_ok_and(|file| file.is_file() && file.len() == record.bytes))
    }
}
