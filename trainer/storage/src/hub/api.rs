//! What the hub says about a repository.

use serde::Deserialize;

/// A repository at a revision.
#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    /// The commit.
    pub(super) sha: String,
    /// The files.
    #[serde(default)]
    pub(super) siblings: Vec<Sibling>,
}

/// One file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sibling {
    /// Its path.
    pub(super) rfilename: String,
    /// Its length.
    pub(super) size: Option<u64>,
    /// Git's name for its content.
    pub(super) blob_id: Option<String>,
    /// What stands in for it in git, for a large file.
    pub(super) lfs: Option<Large>,
}

/// A large file, which git has only a pointer to.
#[derive(Debug, Deserialize)]
pub(super) struct Large {
    pub(super) sha256: String,
    pub(super) size: u64,
}

impl Repository {
    /// Reads the API's answer; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let repository: Self = serde_json::from_slice(bytes).map_err(|error| format!("the hub's answer cannot be read: {error}"))?;
        let is_hexadecimal = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hexadecimal(&repository.sha) {
            return Err("the hub's answer names no commit".to_owned());
        }
        Ok(repository)
    }
}

#[cfg(test)]
mod tests {
    use super::Repository;

    #[test]
    fn the_hubs_answer_is_read() {
        let answer = br#"{"id": "o/n", "sha": "ab12", "private": false, "siblings": [
            {"rfilename": "config.json", "size": 3, "blobId": "f2ba"},
            {"rfilename": "model.safetensors", "size": 9, "blobId": "00", "lfs": {"sha256": "ff", "size": 9, "pointerSize": 134}}]}"#;
        let repository = Repository::parse(answer).expect("read");
        assert_eq!(repository.siblings[0].size, Some(3));
        assert_eq!(repository.siblings[1].lfs.as_ref().map(|large| large.size), Some(9));
        assert!(Repository::parse(b"<html>").is_err());
        assert!(Repository::parse(br#"{"sha": "../x", "siblings": []}"#).is_err());
    }
}
