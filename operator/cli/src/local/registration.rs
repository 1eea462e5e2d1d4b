//! Enters what a finished run has published in the registry of this machine.

use crate::local::home::Home;
use crate::local::job::LocalJob;
use crate::local::model_reference::BASE_MODEL_PATH;
use crate::local::registry::Registry;
use crate::local::state::Registered;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use temper_crds::Timestamp;
use temper_crds::modelversion::SourceReference;
use temper_planner::registration::{Reports, model_version_spec};

/// Enters the run's published model in the registry.
pub fn register(job: &LocalJob, home: &Home, now: Timestamp) -> Result<Registered> {
    let register = job.validated.register.as_ref().context("the job asks for no registration")?;
    let published = job.run.publish_report()?.context("the job has published nothing")?;
    let prepared = job.run.prepare_report()?.context("the job has prepared nothing")?;
    let trained = job.run.train_report()?;
    let reports = Reports { prepared: &prepared, trained: trained.as_ref(), published: &published };
    let source =
        SourceReference { kind: "FineTuneJob".to_owned(), name: job.validated.name.clone(), uid: Some(job.identity.digest.clone()) };
    // The registry says which version it becomes and where it lies.
    let spec = model_version_spec(&job.validated, register, reports, source, 0, String::new());
    let notes = BTreeMap::from([(BASE_MODEL_PATH.to_owned(), job.folders.base_model.display().to_string())]);
    let entry = Registry::new(home).register(Path::new(&published.path), spec, notes, now)?;
    Ok(Registered {
        model_name: entry.version.spec.model_name.clone(),
        name: entry.version.metadata.name.clone().unwrap_or_default(),
        version: entry.version.spec.version,
        model: entry.model,
        manifest: entry.manifest,
    })
}
