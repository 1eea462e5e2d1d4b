//! Where something is stored, read from the URI that the user wrote.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// A storage location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StorageUri {
    /// `pvc://CLAIM/PATH`: a path on a PersistentVolumeClaim; a local run needs a folder in place of the claim.
    Pvc {
        /// The claim's name.
        claim: String,
        /// The path on it, relative and without `..`; empty for its root.
        path: String,
    },
    /// `file://PATH`: a path on this machine; a relative one counts from the working folder.
    File {
        /// The path.
        path: PathBuf,
    },
    /// `hf://OWNER/NAME`: a repository on the Hugging Face hub.
    HuggingFace {
        /// OWNER/NAME, and a path in the repository where one is given.
        repository: String,
    },
    /// `s3://`, `gs://` or `az://BUCKET/PATH`: an object store.
    ObjectStore {
        /// `s3`, `gs` or `az`.
        scheme: String,
        /// The bucket (Azure: container).
        bucket: String,
        /// The path in it; empty for its root.
        path: String,
    },
}

impl StorageUri {
    /// Reads a URI; the error says in a verb phrase what is wrong with it.
    pub fn parse(uri: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = uri.split_once("://").ok_or("has no scheme")?;
        if rest.is_empty() {
            return Err("names nothing");
        }
        if uri.contains(char::is_whitespace) || uri.contains('\0') {
            return Err("has a space in it");
        }
        let (first, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/').to_owned();
        if scheme != "file" && path.split('/').any(|part| part == "..") {
            return Err("leaves its volume by ..");
        }
        match scheme {
            "file" => Ok(Self::File { path: PathBuf::from(rest) }),
            "pvc" if !is_object_name(first) => Err("names a claim that Kubernetes does not take"),
            "pvc" => Ok(Self::Pvc { claim: first.to_owned(), path }),
            "hf" if first.is_empty() || path.is_empty() => Err("does not name OWNER/NAME"),
            "hf" => Ok(Self::HuggingFace { repository: format!("{first}/{path}") }),
            "s3" | "gs" | "az" if first.is_empty() => Err("names no bucket"),
            "s3" | "gs" | "az" => Ok(Self::ObjectStore { scheme: scheme.to_owned(), bucket: first.to_owned(), path }),
            _ => Err("has a scheme that is not known"),
        }
    }
}

/// Whether Kubernetes takes it as the name of an object (DNS-1123 subdomain).
pub(crate) fn is_object_name(name: &str) -> bool {
    let inner = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    (1..=253).contains(&name.len())
        && name.split('.').all(|label| !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-'))
}

impl fmt::Display for StorageUri {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |first: &str, path: &str| if path.is_empty() { first.to_owned() } else { format!("{first}/{path}") };
        match self {
            Self::Pvc { claim, path } => write!(formatter, "pvc://{}", joined(claim, path)),
            Self::File { path } => write!(formatter, "file://{}", path.display()),
            Self::HuggingFace { repository } => write!(formatter, "hf://{repository}"),
            Self::ObjectStore { scheme, bucket, path } => write!(formatter, "{scheme}://{}", joined(bucket, path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StorageUri;

    #[test]
    fn uris_are_read_and_written_back() {
        for uri in [
            "pvc://models/a/b.gguf",
            "pvc://models",
            "file:///tmp/x",
            "file://x/y",
            "hf://meta-llama/Llama-3.1-8B",
            "s3://bucket/key",
            "az://container",
        ] {
            assert_eq!(StorageUri::parse(uri).map(|parsed| parsed.to_string()).as_deref(), Ok(uri));
        }
        assert_eq!(StorageUri::parse("pvc://models/a/").map(|parsed| parsed.to_string()).as_deref(), Ok("pvc://models/a"));
    }

    #[test]
    fn a_uri_that_leads_nowhere_or_elsewhere_is_refused() {
        for uri in [
            "models/a",
            "pvc://",
            "pvc://Models/a",
            "pvc:///a",
            "pvc://models/../../etc",
            "s3:///key",
            "hf://name",
            "ftp://a/b",
            "pvc://a/b c",
        ] {
            assert!(StorageUri::parse(uri).is_err(), "{uri}");
        }
    }
}
