//! Whether what a job names is there. What is not is named with its field, and tried again once somebody has put it there; what is there
//! and wrong is refused by whoever reads it.

use crate::failure::{Failure, Result};
use std::io::ErrorKind;
use std::path::Path;
use temper_contract::TrainerConfig;
use temper_contract::config::{Credentials, Remote, Validation};

/// Before anything is read: the files that `prepare` does not fetch, and the Secrets that later stages will want.
pub(crate) fn check_before_prepare(config: &TrainerConfig) -> Result<()> {
    let TrainerConfig { base_model, dataset, checkpoint, output, .. } = config;
    if base_model.fetch.is_none() {
        check_base_model(config)?;
    }
    if dataset.fetch.is_none() {
        check_path("spec.dataset.storageUri", None, &dataset.path)?;
    }
    if let (Some(Validation::Path(path)), None) = (&dataset.validation, &dataset.fetch_validation) {
        check_path("spec.dataset.validation.storageUri", None, path)?;
    }
    // Those of inputs are read, and missed, by the fetch itself.
    check_secret("spec.checkpoint.secretRef", checkpoint.mirror.as_ref())?;
    check_secret("spec.output.secretRef", output.upload.as_ref())
}

/// Later stages read only the base model beside what `prepare` has left.
pub(crate) fn check_base_model(config: &TrainerConfig) -> Result<()> {
    check_path("spec.baseModel.storageUri", Some(&config.base_model.uri), &config.base_model.path)
}

fn check_path(field: &str, uri: Option<&str>, path: &Path) -> Result<()> {
    match path.metadata() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            let named = uri.map(|uri| format!(" {uri}")).unwrap_or_default();
            Err(Failure::unavailable(
                format!("{field}{named}: there is no file or folder {}", path.display()),
                format!("put it on that volume, or correct {field}; the job tries again by itself"),
            ))
        }
        // Anything else is for those who open it to tell.
        _ => Ok(()),
    }
}

fn check_secret(field: &str, remote: Option<&Remote>) -> Result<()> {
    let Some(Remote { uri, credentials: Some(Credentials { secret, folder }), .. }) = remote else { return Ok(()) };
    let is_there =
        folder.read_dir().is_ok_and(|entries| entries.flatten().any(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
    if is_there {
        return Ok(());
    }
    Err(Failure::unavailable(
        format!("{field}: the Secret {secret}, which {uri} needs, is not there or has no keys"),
        format!("create the Secret {secret} in the job's namespace, or correct {field}; the job tries again by itself"),
    ))
}
