//! The object that makes an upload exist: written last, and only over what an older attempt has left.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The layout's version; a reader refuses another.
const VERSION: u32 = 1;

/// The commit's name below the place.
pub(crate) const COMMIT: &str = "temper-manifest.json";

/// Who uploads: attempts of one owner are ordered, and a lower one never replaces a higher one's upload. Another owner's is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Writer {
    /// The run, by a name that no other run has.
    pub owner: String,
    /// The attempt, from 0.
    pub attempt: u64,
}

/// What an upload consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Commit {
    pub(crate) version: u32,
    #[serde(flatten)]
    pub(crate) writer: Writer,
    pub(crate) files: BTreeMap<String, Entry>,
}

/// One file's digest and length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// What to do about a commit that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is of a higher attempt: keep off.
    Superseded,
    /// It is of an equal or lower attempt, or of another owner: replace it.
    Replaceable,
}

impl Commit {
    pub(super) fn new(writer: &Writer, files: BTreeMap<String, Entry>) -> Self {
        Self { version: VERSION, writer: writer.clone(), files }
    }

    /// Reads a commit; the error says what is wrong with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let commit: Self = serde_json::from_slice(bytes).map_err(|error| format!("it cannot be read: {error}"))?;
        if commit.version != VERSION {
            return Err(format!("its version is {} instead of {VERSION}", commit.version));
        }
        Ok(commit)
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Serialising plain fields and a map by strings cannot fail.
        let mut json = serde_json::to_vec_pretty(self).unwrap_or_default();
        json.push(b'\n');
        json
    }

    /// How this commit, found at the place, stands to who wants to write there.
    pub(super) fn standing(&self, writer: &Writer) -> Standing {
        let is_higher = self.writer.owner == writer.owner && self.writer.attempt > writer.attempt;
        if is_higher { Standing::Superseded } else { Standing::Replaceable }
    }
}

#[cfg(test)]
mod tests {
    use super::{Commit, Standing, Writer};
    use std::collections::BTreeMap;

    #[test]
    fn only_a_lower_attempt_of_the_same_owner_keeps_off() {
        let writer = |owner: &str, attempt| Writer { owner: owner.to_owned(), attempt };
        let there = Commit::new(&writer("a", 2), BTreeMap::new());
        assert_eq!(there.standing(&writer("a", 1)), Standing::Superseded);
        assert_eq!(there.standing(&writer("a", 2)), Standing::Replaceable);
        assert_eq!(there.standing(&writer("a", 3)), Standing::Replaceable);
        assert_eq!(there.standing(&writer("b", 0)), Standing::Replaceable);
        assert_eq!(Commit::parse(&there.to_json()), Ok(there));
    }
}
