//! One file: asked for again after each interruption, from where it was, until it is whole and is what it should be.

use super::manifest::Record;
use super::part::{self, Part};
use crate::error::{Error, Kind, Result};
use crate::object::version_name;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::source::{Interruption, RemoteFile, Source};
use crate::wait;
use futures_util::StreamExt;
use std::path::Path;

/// A file that changes more often than this while it is read is not fit to be read.
const MOST_CHANGES: u32 = 3;
/// A file whose digest is wrong is fetched once more from its first byte.
const MOST_DAMAGES: u32 = 1;
/// However little each connection brings, a file is not worth more of them.
const MOST_CONNECTIONS: u32 = 1000;

/// Where a download writes.
pub(super) struct Folders<'a> {
    /// The folder that is fetched.
    pub(super) target: &'a Path,
    /// What is not complete yet.
    pub(super) parts: &'a Path,
}

/// Why a file must begin anew.
enum Again {
    /// It is another file now.
    Changed,
    /// It is not what it should be.
    Damaged(String),
    /// Beginning anew does not help.
    Failed(Error),
}

impl From<Error> for Again {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Fetches a file and gives it its name.
pub(super) async fn download(
    source: &Source,
    place: &str,
    name: &str,
    listed: &RemoteFile,
    folders: &Folders<'_>,
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<Record> {
    let (mut changes, mut damages) = (0, 0);
    loop {
        let file = source.stat(listed).await?;
        // Another version of the file is another part.
        let path = folders.parts.join(format!("{}-{}.part", version_name(name), version_name(&file.version)));
        match transfer(source, place, &file, &path, settings, progress).await {
            Ok(sha256) => {
                part::commit(&path, &folders.target.join(name))?;
                return Ok(Record { version: file.version, sha256, bytes: file.size });
            }
            Err(Again::Changed) if changes < MOST_CHANGES => {
                changes += 1;
                tracing::warn!("{place}: {name} has changed while it was read; it begins anew");
                part::discard(&path)?;
            }
            Err(Again::Changed) => {
                return Err(Error::new(
                    Kind::Corrupt,
                    format!("{place}: {name}"),
                    "it changes again and again while it is read",
                    "wait until whoever writes it is done, or name a copy that stays as it is",
                ));
            }
            Err(Again::Damaged(reason)) => {
                part::discard(&path)?;
                if damages == MOST_DAMAGES {
                    return Err(Error::corrupt(format!("{place}: {name}"), reason));
                }
                damages += 1;
                tracing::warn!("{place}: {name}: {reason}; it begins anew");
            }
            Err(Again::Failed(error)) => return Err(error),
        }
    }
}

/// Brings all bytes of one version to the part; gives their SHA-256.
async fn transfer(
    source: &Source,
    place: &str,
    file: &RemoteFile,
    path: &Path,
    settings: &Settings,
    progress: &Progress<'_>,
) -> Result<String, Again> {
    let mut part = Part::open(path, file.check.clone(), file.size).await?;
    progress.add(part.length);
    let mut failures = 0;
    let mut connections = 0;
    while part.length < file.size {
        let before = part.length;
        let result = receive(source, place, file, path, &mut part, progress).await;
        if let Err(Interruption::Changed) = result {
            progress.take_back(part.length);
            return Err(Again::Changed);
        }
        failures = if part.length > before { 1 } else { failures + 1 };
        connections += 1;
        match result {
            Ok(()) => {}
            Err(Interruption::Final(error)) => return Err(error.into()),
            Err(Interruption::Transient { error, .. }) if failures > settings.retries || connections > MOST_CONNECTIONS => {
                return Err(error.into());
            }
            Err(Interruption::Transient { error, wait_seconds }) => {
                tracing::info!("{error}; going on at byte {} of {}", part.length, file.size);
                wait::before_retry(settings, failures, wait_seconds).await;
            }
            Err(Interruption::Changed) => return Err(Again::Changed),
        }
    }
    let length = part.length;
    let hasher = part.finish().await?;
    let checked =
        if length == file.size { hasher.finish(file.check.as_ref()) } else { Err(format!("it has more than {} bytes", file.size)) };
    checked.map_err(|reason| {
        progress.take_back(length);
        Again::Damaged(reason)
    })
}

/// Takes what one connection brings.
async fn receive(
    source: &Source,
    place: &str,
    file: &RemoteFile,
    path: &Path,
    part: &mut Part,
    progress: &Progress<'_>,
) -> Result<(), Interruption> {
    let mut body = source.open(file, part.length).await?;
    if body.start != part.length {
        // The server only sends whole files.
        progress.take_back(part.length);
        part::discard(path).map_err(Interruption::Final)?;
        *part = Part::open(path, file.check.clone(), file.size).await.map_err(Interruption::Final)?;
    }
    while let Some(chunk) = body.stream.next().await {
        let chunk = chunk?;
        progress.add(chunk.len() as u64);
        part.write(chunk).await.map_err(Interruption::Final)?;
        if part.length > file.size {
            return Ok(());
        }
    }
    if part.length < file.size {
        let reason = format!("the connection ended after {} of {} bytes of {}", part.length, file.size, file.key);
        let error = Error::new(Kind::Unreachable, place, reason, "check the network between this pod and the server");
        return Err(Interruption::Transient { error, wait_seconds: None });
    }
    Ok(())
}
