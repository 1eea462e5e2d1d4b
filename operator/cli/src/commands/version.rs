//! `temper version`.

use crate::arguments::VersionArgs;
use crate::exit::Exit;
use crate::local::ask::Trainer;
use crate::local::trainer_binary;
use crate::output::format;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

/// The versions that work together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    /// Of this binary.
    temper: &'static str,
    /// Of the resources it reads.
    api_version: &'static str,
    /// Where the trainer is; absent where none was found.
    trainer_path: Option<PathBuf>,
    /// What the trainer says of itself.
    trainer: Option<String>,
}

/// Prints versions.
pub fn run(arguments: &VersionArgs) -> Result<Exit> {
    // One that was named should be there; of the usual places none may have one.
    let named = arguments.place.trainer.as_deref();
    let trainer_path = match trainer_binary::find(named) {
        Err(stop) if named.is_some() => return Err(stop.into()),
        found => found.ok(),
    };
    let trainer = trainer_path.clone().and_then(|path| Trainer::new(path).version());
    let versions = Versions { temper: env!("CARGO_PKG_VERSION"), api_version: temper_crds::API_VERSION, trainer_path, trainer };
    let text = format::machine_text(arguments.output.output, &versions)?;
    format::print(&text.unwrap_or_else(|| shown(&versions)))?;
    Ok(Exit::Success)
}

fn shown(versions: &Versions) -> String {
    let trainer = match (&versions.trainer, &versions.trainer_path) {
        (Some(version), Some(path)) => format!("{version} ({})", path.display()),
        (None, Some(path)) => format!("unknown ({})", path.display()),
        _ => "not found".to_owned(),
    };
    format!("temper {} ({})\ntrainer: {trainer}\n", versions.temper, versions.api_version)
}
