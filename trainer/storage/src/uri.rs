//! What a URI names: an object or prefix in a bucket, or a path in a repository of the hub.

use crate::error::{Error, Result};

/// A remote place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `s3://`, `gs://` or `az://BUCKET/PATH`.
    Bucket { provider: Provider, bucket: String, path: String },
    /// `hf://OWNER/NAME[/PATH]` or `hf://datasets/OWNER/NAME[/PATH]`.
    Hub { kind: RepositoryKind, name: String, revision: String, path: String },
}

/// Whose object store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// Amazon S3, and everything that speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
}

/// Which of the hub's two kinds of repository that hold files for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepositoryKind {
    /// A model.
    Model,
    /// A data set.
    Dataset,
}

/// What is written after `hf://`, in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubPath<'a> {
    pub(crate) kind: RepositoryKind,
    /// The repository's OWNER/NAME.
    pub name: String,
    /// The branch, tag or commit after `@`, if one is written.
    pub revision: Option<&'a str>,
    pub(crate) path: &'a str,
}

impl<'a> HubPath<'a> {
    /// Reads `[models/|datasets/]OWNER/NAME[@REVISION][/PATH]`; `None` where one of the three is empty that must not be.
    pub fn split(rest: &'a str) -> Option<Self> {
        let (kind, rest) = match rest.split_once('/') {
            Some(("datasets", rest)) => (RepositoryKind::Dataset, rest),
            Some(("models", rest)) => (RepositoryKind::Model, rest),
            _ => (RepositoryKind::Model, rest),
        };
        let mut parts = rest.splitn(3, '/');
        let (owner, name, path) = (parts.next()?, parts.next()?, parts.next().unwrap_or(""));
        // `NAME@REVISION`, as in the hub's own file system.
        let (name, revision) = match name.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (name, None),
        };
        let is_whole = !owner.is_empty() && !name.is_empty() && revision != Some("");
        is_whole.then(|| Self { kind, name: format!("{owner}/{name}"), revision, path: path.trim_matches('/') })
    }
}

const FORMS: &str = "write s3://BUCKET/PATH, gs://BUCKET/PATH, az://CONTAINER/PATH, hf://OWNER/NAME or hf://datasets/OWNER/NAME";

impl Place {
    /// Reads a URI; `revision` is a branch, tag or commit for the hub.
    pub(crate) fn parse(uri: &str, revision: Option<&str>) -> Result<Self> {
        let (scheme, rest) = uri.split_once("://").ok_or_else(|| Error::invalid(uri, "it has no scheme", FORMS))?;
        if rest.split('/').any(|part| part == ".." || part == ".") || rest.contains(char::is_control) {
            return Err(Error::invalid(uri, "it has a part that is . or .., or a control character", "name the place itself"));
        }
        let provider = match scheme {
            "s3" => Provider::S3,
            "gs" => Provider::Gs,
            "az" => Provider::Az,
            "hf" => return Self::hub(uri, rest, revision),
            _ => return Err(Error::invalid(uri, "it is of a kind that is not known", FORMS)),
        };
        if revision.is_some() {
            return Err(Error::invalid(uri, "a revision is for hf:// only", "leave the revision away"));
        }
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::invalid(uri, "it names no bucket", FORMS));
        }
        Ok(Self::Bucket { provider, bucket: bucket.to_owned(), path: path.trim_matches('/').to_owned() })
    }

    fn hub(uri: &str, rest: &str, revision: Option<&str>) -> Result<Self> {
        let HubPath { kind, name, revision: written, path } =
            HubPath::split(rest).ok_or_else(|| Error::invalid(uri, "it does not name OWNER/NAME", FORMS))?;
        let revision = match (written, revision) {
            (Some(written), Some(given)) if written != given => {
                let reason = format!("it names the revision {written}, and the revision is given as {given}");
                return Err(Error::invalid(uri, reason, "give one of them"));
            }
            (written, given) => written.or(given).unwrap_or("main"),
        };
        Ok(Self::Hub { kind, name, revision: revision.to_owned(), path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Provider, RepositoryKind};

    #[test]
    fn each_scheme_is_read() {
        let bucket = |provider, bucket: &str, path: &str| Place::Bucket { provider, bucket: bucket.to_owned(), path: path.to_owned() };
        let hub = |kind, name: &str, revision: &str, path: &str| Place::Hub {
            kind,
            name: name.to_owned(),
            revision: revision.to_owned(),
            path: path.to_owned(),
        };
        let (model, dataset) = (RepositoryKind::Model, RepositoryKind::Dataset);
        let table = [
            ("s3://b/a/rows.jsonl", None, bucket(Provider::S3, "b", "a/rows.jsonl")),
            ("gs://b", None, bucket(Provider::Gs, "b", "")),
            ("az://c/a/", None, bucket(Provider::Az, "c", "a")),
            ("hf://o/n", None, hub(model, "o/n", "main", "")),
            ("hf://o/n", Some("v1"), hub(model, "o/n", "v1", "")),
            ("hf://o/n@v2/a/b.gguf", None, hub(model, "o/n", "v2", "a/b.gguf")),
            ("hf://datasets/o/n/data", Some("abc"), hub(dataset, "o/n", "abc", "data")),
        ];
        for (uri, revision, place) in table {
            assert_eq!(Place::parse(uri, revision), Ok(place), "{uri}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let table = [
            ("rows.jsonl", None),
            ("s3:///key", None),
            ("hf://name", None),
            ("hf://datasets/o", None),
            ("hf://o/n@v1", Some("v2")),
            ("s3://b/a", Some("v1")),
            ("http://169.254.169.254/latest", None),
            ("s3://b/../c", None),
        ];
        for (uri, revision) in table {
            let error = Place::parse(uri, revision).expect_err(uri);
            assert!(error.to_string().starts_with(uri) && !error.next_step.is_empty(), "{error:?}");
        }
    }
}
