//! Writing objects: small ones at once, large ones in parts, some only under a condition.

use super::fault::{explain, observed};
use super::{Bucket, SHA256_METADATA};
use crate::error::{Error, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, MultipartUpload, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, UpdateVersion,
};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Stores take at most 10,000 parts.
const MOST_PARTS: u64 = 9_000;
/// Parts of one file that are on their way at the same time.
const PARTS_AT_ONCE: usize = 2;

/// When an object is written.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// If there is none of that name.
    Absent,
    /// If it is still that version.
    Unchanged(UpdateVersion),
}

/// A local file that is uploaded.
pub(crate) struct LocalFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Bucket {
    /// Whether the object is there with that length and SHA-256, as an earlier upload has left it.
    pub(crate) async fn has(&self, key: &Key, file: &LocalFile) -> Result<bool> {
        match self.head(key).await {
            Ok(object) => {
                let digest = object.attributes.get(&Attribute::Metadata(SHA256_METADATA.into()));
                Ok(object.meta.size == file.bytes && digest.is_some_and(|digest| **digest == *file.sha256))
            }
            Err(error) if error.kind == crate::Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Uploads a file; `sent` is told the bytes of each part that has arrived.
    pub(crate) async fn put_file(&self, key: &Key, file: &LocalFile, sent: &(dyn Fn(u64) + Send + Sync)) -> Result<()> {
        let attributes = Attributes::from_iter([(Attribute::Metadata(SHA256_METADATA.into()), file.sha256.clone())]);
        if file.bytes <= self.settings.part_size as u64 {
            let (mut parts, length) = (Parts::open(&file.path)?, file.bytes as usize);
            let content = parts.next(length).await?;
            let options = PutOptions { attributes, ..PutOptions::default() };
            self.done(key, observed(self.store.put_opts(key, content.into(), options)).await)?;
            sent(file.bytes);
            return Ok(());
        }
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let mut upload = self.done(key, observed(self.store.put_multipart_opts(key, options)).await)?;
        let result = self.put_parts(key, file, upload.as_mut(), sent).await;
        if result.is_err() {
            // Gives the store's room back; the failure that is reported is the first one.
            let _ = upload.abort().await;
        }
        result
    }

    async fn put_parts(
        &self,
        key: &Key,
        file: &LocalFile,
        upload: &mut dyn MultipartUpload,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        let part_size = (self.settings.part_size as u64).max(file.bytes.div_ceil(MOST_PARTS)) as usize;
        let mut parts = Parts::open(&file.path)?;
        let mut left = file.bytes;
        let mut on_their_way = futures_util::stream::FuturesUnordered::new();
        while left > 0 || !on_their_way.is_empty() {
            while left > 0 && on_their_way.len() < PARTS_AT_ONCE {
                let content = parts.next(part_size.min(left as usize)).await?;
                let length = content.len() as u64;
                left -= length;
                let part = upload.put_part(PutPayload::from(content));
                on_their_way.push(async move { observed(part).await.map(|()| length) });
            }
            if let Some(arrived) = on_their_way.next().await {
                sent(self.done(key, arrived)?);
            }
        }
        drop(on_their_way);
        self.done(key, observed(upload.complete()).await).map(|_| ())
    }

    /// Writes a small object under a condition; `false` if the condition does not hold.
    pub(crate) async fn put_if(&self, key: &Key, content: Vec<u8>, condition: Condition) -> Result<bool> {
        let mode = match condition {
            Condition::Absent => PutMode::Create,
            Condition::Unchanged(version) => PutMode::Update(version),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match observed(self.store.put_opts(key, content.into(), options)).await {
            Ok(_) => Ok(true),
            Err((object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }, _)) => Ok(false),
            Err(other) => self.done(key, Err(other)).map(|()| true),
        }
    }

    /// Removes an object; one that is not there is removed already.
    pub(crate) async fn remove(&self, key: &Key) -> Result<()> {
        match observed(self.store.delete(key)).await {
            Err((object_store::Error::NotFound { .. }, _)) => Ok(()),
            other => self.done(key, other),
        }
    }

    fn done<T>(&self, key: &Key, result: Result<T, (object_store::Error, Option<super::fault::Fault>)>) -> Result<T> {
        result.map_err(|(error, fault)| explain(&self.asked(&self.object_uri(key), true, false), &error, fault))
    }
}

/// A file that is read in pieces, on threads that may block.
struct Parts {
    path: PathBuf,
    file: Option<File>,
}

impl Parts {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::at("open", path))?;
        Ok(Self { path: path.to_owned(), file: Some(file) })
    }

    /// The next `length` bytes; fewer are an error: the file has changed.
    async fn next(&mut self, length: usize) -> Result<Bytes> {
        let Some(mut file) = self.file.take() else { return Err(self.changed()) };
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; length];
            file.read_exact(&mut buffer).map(|()| (file, buffer))
        });
        match read.await {
            Ok(Ok((file, buffer))) => {
                self.file = Some(file);
                Ok(buffer.into())
            }
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(Error::storage("read", &self.path, &error)),
            _ => Err(self.changed()),
        }
    }

    fn changed(&self) -> Error {
        Error::corrupt(self.path.display().to_string(), "it became shorter while it was uploaded")
    }
}
