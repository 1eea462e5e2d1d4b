//! A place in a bucket of an object store, through the crate `object_store`.

mod connector;
mod fault;
mod folder_markers;
mod providers;
mod write;

use crate::digest::{Check, sha256};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::settings::Settings;
use crate::source::{Body, Interruption, Listing, RemoteFile};
use crate::upload::{COMMIT, Commit};
use crate::uri::Provider;
use connector::Promise;
use fault::{Asked, explain, observed, transport};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{Attribute, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, UpdateVersion};
use std::collections::BTreeMap;
use std::sync::Arc;
pub(crate) use write::{Condition, LocalFile};

/// The key of an object's metadata under which an upload keeps its SHA-256.
const SHA256_METADATA: &str = "sha256";
/// Text that is read whole (manifests) must be smaller.
const LARGEST_TEXT: u64 = 16 << 20;

/// A place in a bucket: one object, or a prefix.
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    provider: Provider,
    uri: String,
    bucket: String,
    path: Key,
    /// Whether the URI ends in a slash: it names a prefix even if there is an object of that name.
    is_prefix: bool,
    secret: Option<Secret>,
    settings: Settings,
}

/// A small object, with what a later conditional write needs.
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    pub(crate) version: UpdateVersion,
}

impl Bucket {
    /// Connects to nothing yet.
    pub(crate) fn open_place(
        provider: Provider,
        bucket: &str,
        path: &str,
        uri: &str,
        secret: Option<Secret>,
        settings: &Settings,
    ) -> Result<Self> {
        let store = providers::store(provider, bucket, secret.as_ref(), uri, settings)?;
        let path = Key::parse(path).map_err(|error| Error::invalid(uri, error.to_string(), "name an object or a prefix"))?;
        let is_prefix = uri.ends_with('/');
        Ok(Self { store, provider, uri: uri.to_owned(), bucket: bucket.to_owned(), path, is_prefix, secret, settings: settings.clone() })
    }

    /// What is there: the object of that name, or every file below that prefix. A prefix that holds a finished upload is what the upload's
    /// commit says, and nothing else.
    pub(crate) async fn listing(&self) -> Result<Listing> {
        if !self.is_prefix && !self.path.as_ref().is_empty() {
            match self.head(&self.path).await {
                Ok(object) => {
                    let name = self.path.filename().unwrap_or_default();
                    return Ok(Listing { revision: None, files: vec![self.file(name, &object.meta)], single: true });
                }
                Err(error) if error.kind == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let listed = self.below().await?;
        let commit = match listed.iter().any(|file| file.path == COMMIT) {
            true => self.read(&self.child(COMMIT)?).await?,
            false => None,
        };
        let files = match commit {
            Some(text) => self.committed(listed, &text.bytes)?,
            None => self.without_missing(listed).await?,
        };
        if files.is_empty() {
            return Err(Error::new(
                Kind::NotFound,
                &self.uri,
                "there is neither an object of that name nor any below it",
                "correct the URI, or put the files there",
            ));
        }
        Ok(Listing { revision: None, files, single: false })
    }

    /// Every object below the prefix, without the markers of folders that hold something.
    pub(crate) async fn below(&self) -> Result<Vec<RemoteFile>> {
        let objects: Vec<ObjectMeta> = observed(self.store.list(Some(&self.path)).try_collect())
            .await
            .map_err(|(error, fault)| explain(&self.asked(&self.uri, false, true), &error, fault))?;
        let named = objects.iter().filter_map(|object| Some((relative(&self.path, &object.location)?, object)));
        Ok(folder_markers::without_parents(named.map(|(name, object)| self.file(&name, object)).collect()))
    }

    /// The files of a commit, each with its digest.
    fn committed(&self, files: Vec<RemoteFile>, bytes: &[u8]) -> Result<Vec<RemoteFile>> {
        let commit = Commit::parse(bytes).map_err(|reason| Error::corrupt(format!("{}/{COMMIT}", self.uri), reason))?;
        let mut there: BTreeMap<String, RemoteFile> = files.into_iter().map(|file| (file.path.clone(), file)).collect();
        let listed = commit.files.iter().map(|(name, entry)| match there.remove(name) {
            Some(file) if file.size == entry.bytes => Ok(RemoteFile { check: Some(Check::Sha256(entry.sha256.clone())), ..file }),
            Some(file) => {
                let reason = format!("{name} has {} bytes instead of the {} of {COMMIT}", file.size, entry.bytes);
                Err(Error::corrupt(&self.uri, reason))
            }
            None => Err(Error::corrupt(&self.uri, format!("{name} is listed in {COMMIT} and is not there"))),
        });
        listed.collect()
    }

    /// The object as it is now, with the digest that the server gives for it.
    pub(crate) async fn stat(&self, file: &RemoteFile) -> Result<RemoteFile> {
        let key = self.key(&file.key)?;
        let object = self.head(&key).await?;
        let mut current = self.file(&file.path, &object.meta);
        // What a commit says about the same bytes is stronger than what the server says.
        let committed = file.check.clone().filter(|_| current.version == file.version);
        current.check = committed.or_else(|| self.check(&object));
        Ok(current)
    }

    /// The object's content from `offset` on, as long as it is that version.
    pub(crate) async fn open(&self, file: &RemoteFile, offset: u64) -> Result<Body, Interruption> {
        let key = self.key(&file.key).map_err(Interruption::Final)?;
        let options = GetOptions {
            range: (offset > 0).then_some(GetRange::Offset(offset)),
            if_match: is_strong(&file.version).then(|| format!("\"{}\"", file.version)),
            ..GetOptions::default()
        };
        let result = match observed(self.store.get_opts(&key, options)).await {
            Ok(result) => result,
            Err((object_store::Error::Precondition { .. } | object_store::Error::NotModified { .. }, _)) => {
                return Err(Interruption::Changed);
            }
            Err((error, fault)) => {
                let explained = explain(&self.asked(&self.object_uri(&key), false, false), &error, fault);
                return Err(Interruption::Final(explained));
            }
        };
        if self.file(&file.path, &result.meta).version != file.version || result.meta.size != file.size {
            return Err(Interruption::Changed);
        }
        let uri = self.object_uri(&key);
        let stream = result.into_stream().map(move |chunk| {
            chunk.map_err(|error| {
                let reason = transport(&error).unwrap_or_else(|| "the connection ended early".to_owned());
                let next_step = "check the network between this pod and the server";
                Interruption::Transient { error: Error::new(Kind::Unreachable, &uri, reason, next_step), wait_seconds: None }
            })
        });
        Ok(Body { start: offset, stream: stream.boxed() })
    }

    /// A small object's bytes; `None` if it is not there.
    pub(crate) async fn read(&self, key: &Key) -> Result<Option<Text>> {
        let read = async {
            let result = self.store.get_opts(key, GetOptions::default()).await?;
            let version = UpdateVersion { e_tag: result.meta.e_tag.clone(), version: result.meta.version.clone() };
            let size = result.meta.size;
            let bytes = if size > LARGEST_TEXT { Vec::new() } else { result.bytes().await?.to_vec() };
            Ok((size, Text { bytes, version }))
        };
        match observed(read).await {
            Ok((size, _)) if size > LARGEST_TEXT => {
                Err(Error::corrupt(self.object_uri(key), format!("it has {size} bytes, too many for what it should be")))
            }
            Ok((_, text)) => Ok(Some(text)),
            Err((object_store::Error::NotFound { .. }, fault)) if !is_bucket_missing(fault.as_ref()) => Ok(None),
            Err((error, fault)) => Err(explain(&self.asked(&self.object_uri(key), false, false), &error, fault)),
        }
    }

    async fn head(&self, key: &Key) -> Result<GetResult> {
        observed(self.store.get_opts(key, GetOptions { head: true, ..GetOptions::default() }))
            .await
            .map_err(|(error, fault)| explain(&self.asked(&self.object_uri(key), false, false), &error, fault))
    }

    /// The key of a file below the place.
    pub(crate) fn child(&self, name: &str) -> Result<Key> {
        let joined = if self.path.as_ref().is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        self.key(&joined)
    }

    fn key(&self, key: &str) -> Result<Key> {
        Key::parse(key).map_err(|error| Error::invalid(&self.uri, error.to_string(), "give the files other names"))
    }

    fn file(&self, name: &str, object: &ObjectMeta) -> RemoteFile {
        // Azure lists entity tags without the quotes that they have in headers.
        let tag = object.e_tag.as_deref().map(|tag| if tag.starts_with('"') { tag.trim_matches('"') } else { tag }.to_owned());
        let version = tag.unwrap_or_else(|| format!("{} {}", object.last_modified.timestamp_micros(), object.size));
        RemoteFile { path: name.to_owned(), key: object.location.to_string(), size: object.size, version, check: None }
    }

    fn check(&self, object: &GetResult) -> Option<Check> {
        let own = object.attributes.get(&Attribute::Metadata(SHA256_METADATA.into())).map(|value| value.to_string());
        if let Some(own) = own.filter(|digest| is_digest(digest, 64)) {
            return Some(Check::Sha256(own));
        }
        let promise = object.extensions.get::<Promise>()?;
        let tag = object.meta.e_tag.as_deref().map(|tag| tag.trim_matches('"').to_lowercase());
        let md5 = tag.filter(|tag| self.provider == Provider::S3 && !promise.is_tag_opaque && is_digest(tag, 32)).map(Check::Md5);
        promise.check.clone().or(md5)
    }

    fn object_uri(&self, key: &Key) -> String {
        let scheme = self.uri.split("://").next().unwrap_or_default();
        format!("{scheme}://{}/{key}", self.bucket)
    }

    fn asked<'a>(&'a self, uri: &'a str, writing: bool, whole_bucket: bool) -> Asked<'a> {
        Asked { uri, bucket: &self.bucket, secret: self.secret.as_ref().map(Secret::name), writing, whole_bucket }
    }

    /// The error without any of the credentials' values, should a server have repeated one.
    pub(crate) fn strike_out(&self, error: Error) -> Error {
        match &self.secret {
            Some(secret) => Error { reason: secret.strike_out(&error.reason), ..error },
            None => error,
        }
    }

    /// The place, for messages.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }
}

/// Whether it is an entity tag that `If-Match` takes: strong, and the server's own.
fn is_strong(version: &str) -> bool {
    !version.contains(' ') && !version.starts_with("W/")
}

fn is_bucket_missing(fault: Option<&fault::Fault>) -> bool {
    let code = fault.and_then(|fault| fault.code.as_deref());
    matches!(code, Some("NoSuchBucket" | "ContainerNotFound"))
}

fn is_digest(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The key's parts below the prefix; `None` for the prefix itself.
fn relative(prefix: &Key, key: &Key) -> Option<String> {
    let parts: Vec<String> = key.prefix_match(prefix)?.map(|part| part.as_ref().to_owned()).collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// A name for what has none: the digest of its version.
pub(crate) fn version_name(version: &str) -> String {
    sha256(version.as_bytes())[..16].to_owned()
}
