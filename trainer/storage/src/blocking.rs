//! The same for programs that are not asynchronous: each call runs on a runtime of its own.

use crate::error::{Error, Kind, Result};
use crate::fetch::{Fetched, Purpose};
use crate::settings::Settings;
use crate::upload::{Uploaded, Writer};
use std::future::Future;
use std::path::Path;
use temper_contract::config::Remote;

/// [`crate::fetch`].
pub fn fetch(
    remote: &Remote,
    purpose: Purpose,
    target: &Path,
    settings: &Settings,
    on_progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Fetched> {
    run(crate::fetch(remote, purpose, target, settings, on_progress))
}

/// [`crate::upload`].
pub fn upload(
    folder: &Path,
    target: &Remote,
    writer: &Writer,
    settings: &Settings,
    on_progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Uploaded> {
    run(crate::upload(folder, target, writer, settings, on_progress))
}

/// Runs to the end on this thread.
pub fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| Error::new(Kind::Storage, "temper", format!("no runtime: {error}"), "raise the limit of open files"))?
        .block_on(work)
}
