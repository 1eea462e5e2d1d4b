//! What comes from object stores and the hub before `prepare`, and what goes there after `publish`.

use crate::events::emit;
use crate::failure::{Failure, Result};
use std::path::Path;
use temper_artifact::digest;
use temper_contract::config::{Remote, Validation};
use temper_contract::report::TrainReport;
use temper_contract::{Event, ExitCode, TrainerConfig, env};
use temper_storage::{Kind, Purpose, Settings, Writer, blocking};

/// Brings the base model, the rows and the held-out rows to this machine, those of them that are elsewhere. What is there and still the
/// same is left as it is.
pub(crate) fn fetch_inputs(config: &TrainerConfig) -> Result<()> {
    let dataset = &config.dataset;
    if let Some(remote) = &config.base_model.fetch {
        fetch(remote, Purpose::Model, &config.base_model.path)?;
    }
    if let Some(remote) = &dataset.fetch {
        fetch(remote, Purpose::Data, &dataset.path)?;
    }
    if let (Some(remote), Some(Validation::Path(path))) = (&dataset.fetch_validation, &dataset.validation) {
        fetch(remote, Purpose::Data, path)?;
    }
    Ok(())
}

fn fetch(remote: &Remote, purpose: Purpose, target: &Path) -> Result<()> {
    let fetched = blocking::fetch(remote, purpose, target, &Settings::from_environment(), &|done, total| {
        emit(&Event::Preparing { stage: "fetching".to_owned(), done, total });
    })?;
    for file in &fetched.skipped {
        tracing::info!("{}: {} is not fetched: {}", remote.uri, file.path, file.reason);
    }
    let what = if fetched.reused { "is there already" } else { "is fetched" };
    tracing::info!(files = fetched.files.len(), bytes = fetched.bytes, revision = fetched.revision, "{} {what}", remote.uri);
    Ok(())
}

/// Copies the published folder to where the job's output goes, if that is elsewhere.
pub(crate) fn upload_output(config: &TrainerConfig, trained: &TrainReport, folder: &Path) -> Result<()> {
    let Some(remote) = &config.output.upload else { return Ok(()) };
    let attempt = crate::rank::number(|name| std::env::var(name).ok(), env::ATTEMPT, 0)?;
    let writer = Writer { owner: owner(config, trained), attempt };
    let uploaded = blocking::upload(folder, remote, &writer, &Settings::from_environment(), &|done, total| {
        emit(&Event::Preparing { stage: "uploading".to_owned(), done, total });
    })?;
    tracing::info!(sent = uploaded.sent.len(), there = uploaded.there.len(), bytes = uploaded.bytes, "{} is uploaded", remote.uri);
    Ok(())
}

/// A name that this training has and no other: its report holds the time it took.
fn owner(config: &TrainerConfig, trained: &TrainReport) -> String {
    let report = serde_json::to_vec(trained).unwrap_or_default();
    format!("{} {}", config.job_name, digest::bytes(&report))
}

impl From<temper_storage::Error> for Failure {
    fn from(error: temper_storage::Error) -> Self {
        let reason = match error.kind {
            Kind::Invalid => ExitCode::InvalidInput,
            Kind::NotFound | Kind::Denied | Kind::Credentials | Kind::Unreachable => ExitCode::Unavailable,
            Kind::Storage => ExitCode::Storage,
            // Another try fetches it anew.
            _ => ExitCode::Unexpected,
        };
        Self::new(reason, error.to_string(), error.next_step)
    }
}
