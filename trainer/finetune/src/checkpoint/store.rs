//! Saving, finding, loading and removing checkpoints.

use super::manifest::{Entry, Manifest, VERSION};
use super::retention::{Id, outdated};
use super::state::TrainingState;
use super::tensor_file::{self, Part};
use crate::durable::{create_folder, read_json, sync_folder, write_json};
use crate::events::warn;
use crate::failure::{Failure, Result};
use crate::kill_point::{self, kill_point};
use crate::optimizer::Moments;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tch::Tensor;
use temper_contract::layout;
use temper_model::Parameter;

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "state.json";
const ASIDE: &str = ".tmp-";

/// The tensors of a checkpoint. Loading copies into them in place.
pub(crate) struct Tensors<'a> {
    /// Names, shapes and ranges in the flat tensors.
    pub(crate) parameters: &'a [Parameter],
    /// `[P]` fp32.
    pub(crate) master: &'a Tensor,
    /// `[P]` fp32 each.
    pub(crate) moments: &'a Moments,
}

/// A checkpoint that was loaded.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) state: TrainingState,
    pub(crate) folder: PathBuf,
    /// Who wrote it.
    pub(crate) attempt: u64,
}

/// A folder of checkpoints, as one attempt sees it.
#[derive(Debug)]
pub(crate) struct CheckpointStore {
    root: PathBuf,
    attempt: u64,
    keep: usize,
}

impl CheckpointStore {
    /// Reads every attempt's checkpoints below `root`, writes those of `attempt`, keeps the newest `keep`.
    pub(crate) fn new(root: &Path, attempt: u64, keep: usize) -> Self {
        Self { root: root.to_owned(), attempt, keep }
    }

    /// The attempt whose checkpoints this writes.
    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Removes what an interrupted save of this attempt left. Called before training, by the only process that writes.
    pub(crate) fn clean(&self) -> Result<()> {
        let folder = self.attempt_folder(self.attempt);
        create_folder(&folder)?;
        for path in entries(&folder) {
            let torn = !path.join(layout::CHECKPOINT_MANIFEST).exists();
            if torn && path.is_dir() {
                fs::remove_dir_all(&path).map_err(Failure::at("remove the unfinished checkpoint", &path))?;
            }
        }
        Ok(())
    }

    /// The newest whole checkpoint, with its tensors copied into `tensors`. Damaged ones are passed over with a warning. `None` if there is
    /// none.
    pub(crate) fn load_newest(&self, tensors: &Tensors<'_>) -> Result<Option<Found>> {
        for id in self.committed().into_iter().rev() {
            let folder = self.folder(id);
            match load(&folder, id, tensors) {
                Ok(state) => return Ok(Some(Found { state, folder, attempt: id.attempt })),
                Err(damage) => warn(format!("the checkpoint {} is damaged and passed over: {damage}", folder.display())),
            }
        }
        Ok(None)
    }

    /// Writes and commits a checkpoint, then removes outdated ones. When it fails, what was committed before is untouched.
    pub(crate) fn save(&self, state: &TrainingState, tensors: &Tensors<'_>) -> Result<PathBuf> {
        let attempt_folder = self.attempt_folder(self.attempt);
        create_folder(&attempt_folder)?;
        let aside = attempt_folder.join(format!("{ASIDE}{}", layout::step_folder(state.step)));
        let committed = self.folder(Id { attempt: self.attempt, step: state.step });
        self.write_aside(&aside, state, tensors).and_then(|files| self.commit(&aside, &committed, state.step, files)).inspect_err(
            |_| {
                // Give the room back; the failure that is reported is the first one.
                let _ = fs::remove_dir_all(&aside);
            },
        )?;
        kill_point(kill_point::CHECKPOINT_AFTER_MANIFEST);
        self.remove_outdated();
        Ok(committed)
    }

    fn write_aside(&self, aside: &Path, state: &TrainingState, tensors: &Tensors<'_>) -> Result<BTreeMap<String, Entry>> {
        remove_folder(aside)?;
        create_folder(aside)?;
        let mut files = BTreeMap::new();
        let tensor_files = [(WEIGHTS, tensors.weights()), (OPTIMIZER, tensors.moments())];
        for (name, parts) in &tensor_files {
            let path = aside.join(name);
            let (sha256, bytes) = tensor_file::write(&path, parts).map_err(Failure::at("write", &path))?;
            files.insert((*name).to_owned(), Entry { sha256, bytes });
        }
        let path = aside.join(STATE);
        write_json(&path, state)?;
        let entry = File::open(&path).and_then(|file| {
            let bytes = file.metadata()?.len();
            Ok(Entry { sha256: super::digest::of_reader(file)?, bytes })
        });
        files.insert(STATE.to_owned(), entry.map_err(Failure::at("read back", &path))?);
        sync_folder(aside)?;
        Ok(files)
    }

    fn commit(&self, aside: &Path, committed: &Path, step: u64, files: BTreeMap<String, Entry>) -> Result<()> {
        kill_point(kill_point::CHECKPOINT_BEFORE_RENAME);
        // A folder of this name is torn or damaged: had it been whole, training would have gone on from it or from a later one.
        remove_checkpoint(committed)?;
        fs::rename(aside, committed).map_err(Failure::at("rename to", committed))?;
        sync_folder(&self.attempt_folder(self.attempt))?;
        kill_point(kill_point::CHECKPOINT_BEFORE_MANIFEST);
        let manifest = Manifest { version: VERSION, attempt: self.attempt, step, files };
        write_json(&committed.join(layout::CHECKPOINT_MANIFEST), &manifest)
    }

    fn remove_outdated(&self) {
        for id in outdated(self.committed(), self.keep) {
            let folder = self.folder(id);
            // Training does not depend on it, and the next save tries again.
            if let Err(failure) = remove_checkpoint(&folder) {
                tracing::warn!("{failure}");
            }
        }
    }

    /// Every checkpoint with a manifest, the most preferred last.
    fn committed(&self) -> Vec<Id> {
        committed(&self.root)
    }

    fn attempt_folder(&self, attempt: u64) -> PathBuf {
        self.root.join(layout::attempt_folder(attempt))
    }

    fn folder(&self, id: Id) -> PathBuf {
        self.attempt_folder(id.attempt).join(layout::step_folder(id.step))
    }
}

/// Checks every file against the manifest and the tensors' names and shapes before it changes a value.
fn load(folder: &Path, id: Id, tensors: &Tensors<'_>) -> std::result::Result<TrainingState, String> {
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
    let (weights, moments) = (tensors.weights(), tensors.moments());
    let weights_file = tensor_file::open(&folder.join(WEIGHTS), &weights).map_err(|reason| format!("{WEIGHTS}: {reason}"))?;
    let moments_file = tensor_file::open(&folder.join(OPTIMIZER), &moments).map_err(|reason| format!("{OPTIMIZER}: {reason}"))?;
    tensor_file::read(weights_file, &weights).map_err(|reason| format!("{WEIGHTS}: {reason}"))?;
    tensor_file::read(moments_file, &moments).map_err(|reason| format!("{OPTIMIZER}: {reason}"))?;
    Ok(state)
}

pub(super) fn committed(root: &Path) -> Vec<Id> {
    let mut found = Vec::new();
    for attempt_path in entries(root) {
        let Some(attempt) = number_after(&attempt_path, "attempt-") else { continue };
        for step_path in entries(&attempt_path) {
            if let Some(step) = number_after(&step_path, "step-")
                && step_path.join(layout::CHECKPOINT_MANIFEST).is_file()
            {
                found.push(Id { attempt, step });
            }
        }
    }
    found.sort_unstable();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

pub(super) fn number_after(path: &Path, prefix: &str) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok()
}

/// Removes a checkpoint, its manifest first, so that no half of one is ever taken for a whole.
fn remove_checkpoint(folder: &Path) -> Result<()> {
    let manifest = folder.join(layout::CHECKPOINT_MANIFEST);
    match fs::remove_file(&manifest) {
        Ok(()) => {
            sync_folder(folder)?;
            kill_point(kill_point::CHECKPOINT_REMOVING);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::storage("remove", &manifest, &error)),
    }
    remove_folder(folder)
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::storage("remove", folder, &error)),
        _ => Ok(()),
    }
}

impl<'a> Tensors<'a> {
    fn weights(&self) -> Vec<Part<'a>> {
        self.parts("", self.master).collect()
    }

    /// Named as torch's AdamW names them.
    fn moments(&self) -> Vec<Part<'a>> {
        self.parts("exp_avg.", &self.moments.first).chain(self.parts("exp_avg_sq.", &self.moments.second)).collect()
    }

    fn parts(&self, prefix: &'static str, flat: &Tensor) -> impl Iterator<Item = Part<'a>> {
        let flat = flat.shallow_clone();
        self.parameters.iter().map(move |parameter| Part {
            name: format!("{prefix}{}", parameter.name),
            shape: &parameter.shape,
            flat: flat.narrow(0, parameter.range.start as i64, parameter.range.len() as i64),
        })
    }
}
