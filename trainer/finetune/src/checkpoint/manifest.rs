//! The file that makes a checkpoint exist.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// The layout's version; a reader refuses another.
pub(super) const VERSION: u32 = 1;

/// What a checkpoint consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) version: u32,
    pub(super) attempt: u64,
    pub(super) step: u64,
    pub(super) files: BTreeMap<String, Entry>,
}

/// One file's digest and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl Manifest {
    /// Why the files in `folder` are not those of the manifest, if they are not; the file's name comes first.
    pub(super) fn damage(&self, folder: &Path) -> Option<String> {
        if self.version != VERSION {
            return Some(format!("{}: version {} is not {VERSION}", temper_contract::layout::CHECKPOINT_MANIFEST, self.version));
        }
        self.files.iter().find_map(|(name, entry)| self.file_damage(folder, name, entry))
    }

    fn file_damage(&self, folder: &Path, name: &str, entry: &Entry) -> Option<String> {
        // A manifest names files of its own folder only.
        if Path::new(name).components().count() != 1 || name.starts_with('.') {
            return Some(format!("{name}: not a plain file name"));
        }
        let outcome = File::open(folder.join(name)).and_then(|file| {
            let bytes = file.metadata()?.len();
            Ok((bytes, if bytes == entry.bytes { super::digest::of_reader(file)? } else { String::new() }))
        });
        match outcome {
            Err(error) => Some(format!("{name}: {error}")),
            Ok((bytes, _)) if bytes != entry.bytes => Some(format!("{name}: {bytes} bytes instead of {}", entry.bytes)),
            Ok((_, sha256)) if sha256 != entry.sha256 => Some(format!("{name}: SHA-256 {sha256} instead of {}", entry.sha256)),
            Ok(_) => None,
        }
    }
}
