//! Finding a checkpoint that is whole, and going on from it.

use super::id::{Id, attempt_of};
use super::manifest::Manifest;
use super::state::{TrainingState, of_another};
use super::tensor_file::{self, Part};
use super::tensors::{OPTIMIZER, Tensors, WEIGHTS, weights};
use crate::durable::read_json;
use crate::events::warn;
use crate::failure::{Failure, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tch::Tensor;
use temper_contract::layout;
use temper_model::Parameter;

pub(super) const STATE: &str = "state.json";

/// A checkpoint that is whole: every file is what its manifest says.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) state: TrainingState,
    pub(crate) folder: PathBuf,
    /// Under whose number it was written.
    pub(crate) attempt: u64,
}

impl Found {
    /// Copies its tensors into `tensors`. All names and shapes are checked before a value changes. What then still fails is the disk's
    /// doing, and final for this process: some values may have changed, so that nothing else can be begun with them.
    pub(crate) fn load(&self, tensors: &Tensors<'_>) -> Result<()> {
        self.read(tensors.files())
    }

    /// The same for the trained values alone, `[P]` fp32: nobody who does not go on training needs the moments, which are twice as large.
    pub(crate) fn load_weights(&self, parameters: &[Parameter], master: &Tensor) -> Result<()> {
        self.read([weights(parameters, master)])
    }

    fn read<const FILES: usize>(&self, files: [(&'static str, Vec<Part<'_>>); FILES]) -> Result<()> {
        let files = files.map(|(name, parts)| (self.folder.join(name), parts));
        let mut opened = Vec::with_capacity(files.len());
        for (path, parts) in &files {
            opened.push(tensor_file::open(path, parts).map_err(|error| self.unusable(path, &error))?);
        }
        for (file, (path, parts)) in opened.into_iter().zip(&files) {
            tensor_file::read(file, parts).map_err(Failure::at("read", path))?;
        }
        Ok(())
    }

    /// Why a file of it cannot be used. It was verified: what does not fit was not written by this job.
    fn unusable(&self, path: &Path, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::InvalidData => {
                of_another(&self.folder, &format!("{}: {error}", path.file_name().unwrap_or_default().to_string_lossy()))
            }
            _ => Failure::storage("read", path, error),
        }
    }

    pub(super) fn id(&self) -> Id {
        Id { attempt: self.attempt, step: self.state.step }
    }
}

/// The most preferred of `committed` that is whole. Damaged ones are passed over with a warning. `None` if there is none.
pub(super) fn newest_whole(root: &Path, committed: &[Id]) -> Option<Found> {
    committed.iter().rev().find_map(|&id| {
        let folder = root.join(id.path());
        match verify(&folder, id) {
            Ok(state) => Some(Found { state, folder, attempt: id.attempt }),
            Err(damage) => {
                warn(format!("the checkpoint {} is damaged and passed over: {damage}", folder.display()));
                None
            }
        }
    })
}

/// Checks every file of a checkpoint against its manifest; the error says how it is damaged.
pub(super) fn verify(folder: &Path, id: Id) -> std::result::Result<TrainingState, String> {
    let manifest: Manifest =
        read_json(&folder.join(layout::CHECKPOINT_MANIFEST)).map_err(|failure| failure.message)?.ok_or("manifest.json: missing")?;
    if (manifest.attempt, manifest.step) != (id.attempt, id.step) {
        return Err(format!("manifest.json: it is of attempt {}, step {}", manifest.attempt, manifest.step));
    }
    if let Some(missing) = [WEIGHTS, OPTIMIZER, STATE].iter().find(|name| !manifest.files.contains_key(**name)) {
        return Err(format!("manifest.json: {missing} is not listed"));
    }
    if let Some(damage) = manifest.damage(folder) {
        return Err(damage);
    }
    let state: TrainingState = read_json(&folder.join(STATE)).map_err(|failure| failure.message)?.ok_or("state.json: missing")?;
    if state.step != id.step {
        return Err(format!("state.json: step {} instead of {}", state.step, id.step));
    }
    Ok(state)
}

/// Every checkpoint with a manifest, the most preferred last. What cannot be looked at is a failure: training that began anew because a
/// volume did not answer would lose what is on it.
pub(super) fn committed(root: &Path) -> Result<Vec<Id>> {
    let mut found = Vec::new();
    for attempt in entries(root)?.into_iter().filter(|folder| attempt_of(folder).is_some()) {
        for folder in entries(&attempt)? {
            if let Some(id) = Id::of(&folder)
                && has_manifest(&folder)?
            {
                found.push(id);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn has_manifest(folder: &Path) -> Result<bool> {
    let manifest = folder.join(layout::CHECKPOINT_MANIFEST);
    match fs::metadata(&manifest) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(Failure::storage("look at", &manifest, &error)),
    }
}

/// What is in a folder; nothing if there is no such folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).and_then(|listed| listed.map(|entry| entry.map(|entry| entry.path())).collect());
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(Failure::at("list", folder)),
    }
}
