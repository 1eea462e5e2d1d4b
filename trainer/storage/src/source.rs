//! What can be fetched from: a bucket or the hub, behind one face.

use crate::digest::Check;
use crate::error::Error;
use crate::hub::Hub;
use crate::object::Bucket;
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// A file at a remote place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// Its path below the place that was named; for a single file, its name.
    pub(crate) path: String,
    /// Where the source finds it.
    pub(crate) key: String,
    /// Its length.
    pub(crate) size: u64,
    /// Differs when the content does: an entity tag, or a digest.
    pub(crate) version: String,
    /// What its digest must be, where the server says.
    pub(crate) check: Option<Check>,
}

/// Everything at a remote place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The commit that the revision named, for the hub.
    pub(crate) revision: Option<String>,
    /// The files.
    pub(crate) files: Vec<RemoteFile>,
    /// Whether the URI named one file, not a folder of them.
    pub(crate) single: bool,
}

/// A file's content, from `start` on.
pub(crate) struct Body {
    /// 0 if the server would not begin where it was asked to.
    pub(crate) start: u64,
    pub(crate) stream: BoxStream<'static, Result<Bytes, Interruption>>,
}

/// Why no more bytes come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// The connection broke, or the server is busy for now: worth another try, at the earliest after so many seconds.
    Transient { error: Error, wait_seconds: Option<u64> },
    /// The file is not the one it was.
    Changed,
    /// Trying again cannot help.
    Final(Error),
}

/// A place to fetch from.
pub(crate) enum Source {
    /// A bucket of an object store.
    Bucket(Box<Bucket>),
    /// A repository of the hub.
    Hub(Box<Hub>),
}

impl Source {
    /// What is there. Empty places are errors.
    pub(crate) async fn list(&self) -> Result<Listing, Error> {
        match self {
            Self::Bucket(bucket) => bucket.listing().await,
            Self::Hub(hub) => hub.listing().await,
        }
    }

    /// The file as it is now, with its check.
    pub(crate) async fn stat(&self, file: &RemoteFile) -> Result<RemoteFile, Error> {
        match self {
            Self::Bucket(bucket) => bucket.stat(file).await,
            // A file of a commit does not change.
            Self::Hub(_) => Ok(file.clone()),
        }
    }

    /// The file's content from `offset` on, as long as it is still that version.
    pub(crate) async fn open(&self, file: &RemoteFile, offset: u64) -> Result<Body, Interruption> {
        match self {
            Self::Bucket(bucket) => bucket.open(file, offset).await,
            Self::Hub(hub) => hub.open(file, offset).await,
        }
    }
}
