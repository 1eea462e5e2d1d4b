//! Saving, finding and removing checkpoints.

use super::found::{Found, STATE, committed, entries, newest_whole, verify};
use super::id::{Id, attempt_of};
use super::manifest::{Entry, Manifest, VERSION};
use super::retention::outdated;
use super::state::TrainingState;
use super::tensor_file;
use super::tensors::Tensors;
use crate::durable::{create_folder, sync_folder, write_json};
use crate::failure::{Failure, Result};
use crate::kill_point::{self, kill_point};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use temper_contract::layout;

/// How names begin that readers ignore: of what is being written, or brought from a store.
pub(super) const ASIDE: &str = ".tmp-";

/// A folder of checkpoints, as one attempt sees it.
#[derive(Debug)]
pub(crate) struct CheckpointStore {
    root: PathBuf,
    /// Whose number this writes under.
    attempt: u64,
    keep: usize,
    /// Those that training went back before: readers prefer them to what is saved next, and they are damaged.
    refused: Vec<Id>,
}

impl CheckpointStore {
    /// Reads every attempt's checkpoints below `root`, writes those of `attempt`, keeps the newest `keep`.
    pub(crate) fn new(root: &Path, attempt: u64, keep: usize) -> Self {
        Self { root: root.to_owned(), attempt, keep, refused: Vec::new() }
    }

    /// The number that this writes checkpoints under.
    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Writes under another number from now on: the one that rank 0 has chosen, for all ranks to tell of the same checkpoints.
    pub(crate) fn write_as(&mut self, attempt: u64) {
        self.attempt = attempt;
    }

    /// The newest whole checkpoint, to go on from. If checkpoints of a higher attempt are here, what is saved from now on goes above
    /// them, since readers would prefer them to it: executors count attempts from zero again where they have lost count, as on another
    /// machine that goes on from the store's copies. `may_rise` is false for an attempt that was replaced: that one writes below.
    pub(crate) fn find(&mut self, may_rise: bool) -> Result<Option<Found>> {
        let committed = committed(&self.root)?;
        if let Some(newest) = committed.last().filter(|newest| may_rise && newest.attempt > self.attempt) {
            let (own, above) = (self.attempt, newest.attempt.saturating_add(1));
            tracing::info!("attempt {own} writes its checkpoints as attempt {above}: there are some of attempt {}", newest.attempt);
            self.attempt = above;
        }
        let found = newest_whole(&self.root, &committed);
        let id = found.as_ref().map(Found::id);
        self.refused = committed.into_iter().filter(|refused| id.is_none_or(|id| *refused > id)).collect();
        Ok(found)
    }

    /// The newest whole checkpoint, for those who write none. Damaged ones are passed over with a warning. `None` if there is none.
    pub(crate) fn newest(root: &Path) -> Result<Option<Found>> {
        Ok(newest_whole(root, &committed(root)?))
    }

    /// Removes what interrupted saves and copies left, this attempt's and those before it: their processes are gone. Called before
    /// training, by the only process that writes.
    pub(crate) fn clean(&self) -> Result<()> {
        create_folder(&self.attempt_folder(self.attempt))?;
        let is_over = |folder: &PathBuf| attempt_of(folder).is_some_and(|attempt| attempt <= self.attempt);
        for folder in entries(&self.root)?.into_iter().filter(is_over) {
            for torn in entries(&folder)?.into_iter().filter(|path| is_torn(path)) {
                // Training does not depend on it.
                if let Err(failure) = remove_folder(&torn) {
                    tracing::warn!("{failure}");
                }
            }
        }
        Ok(())
    }

    /// Writes and commits a checkpoint, then removes those that training went back before, and outdated ones; of both, those that
    /// `may_remove` gives up. When it fails, what was committed before is untouched. `got_on` is called again and again as pieces of it
    /// become durable: a large one may take longer than a step ever does.
    pub(crate) fn save(
        &mut self,
        state: &TrainingState,
        tensors: &Tensors<'_>,
        may_remove: impl Fn(&Path) -> bool,
        got_on: &mut dyn FnMut(),
    ) -> Result<PathBuf> {
        let attempt_folder = self.attempt_folder(self.attempt);
        create_folder(&attempt_folder)?;
        let aside = attempt_folder.join(format!("{ASIDE}{}", layout::step_folder(state.step)));
        let id = Id { attempt: self.attempt, step: state.step };
        let committed = self.folder(id);
        self.write_aside(&aside, state, tensors, got_on).and_then(|files| self.commit(&aside, &committed, state.step, files)).inspect_err(
            |_| {
                // Give the room back; the failure that is reported is the first one.
                let _ = fs::remove_dir_all(&aside);
            },
        )?;
        kill_point(kill_point::CHECKPOINT_AFTER_MANIFEST);
        self.remove_refused(id, &may_remove);
        self.remove_outdated(id, &may_remove);
        Ok(committed)
    }

    fn write_aside(
        &self,
        aside: &Path,
        state: &TrainingState,
        tensors: &Tensors<'_>,
        got_on: &mut dyn FnMut(),
    ) -> Result<BTreeMap<String, Entry>> {
        remove_folder(aside)?;
        create_folder(aside)?;
        let mut files = BTreeMap::new();
        for (name, parts) in &tensors.files() {
            let path = aside.join(name);
            let (sha256, bytes) = tensor_file::write(&path, parts, got_on).map_err(Failure::at("write", &path))?;
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

    /// Only what this process itself found damaged: another one that readers prefer to `saved` is of an attempt that began later.
    fn remove_refused(&mut self, saved: Id, may_remove: &impl Fn(&Path) -> bool) {
        for id in std::mem::take(&mut self.refused) {
            // One that could not be read for a while only is whole after all.
            let is_damaged = id != saved && verify(&self.folder(id), id).is_err();
            if is_damaged && !self.remove(id, may_remove) {
                self.refused.push(id);
            }
        }
    }

    fn remove_outdated(&self, saved: Id, may_remove: &impl Fn(&Path) -> bool) {
        // Training does not depend on it, and the next save tries again.
        match committed(&self.root) {
            Ok(committed) => outdated(committed, self.keep, saved).into_iter().for_each(|id| {
                self.remove(id, may_remove);
            }),
            Err(failure) => tracing::warn!("{failure}"),
        }
    }

    /// Whether it is gone. Training does not depend on it, and the next save tries again.
    fn remove(&self, id: Id, may_remove: &impl Fn(&Path) -> bool) -> bool {
        let folder = self.folder(id);
        may_remove(&folder) && remove_checkpoint(&folder).inspect_err(|failure| tracing::warn!("{failure}")).is_ok()
    }

    fn attempt_folder(&self, attempt: u64) -> PathBuf {
        self.root.join(layout::attempt_folder(attempt))
    }

    fn folder(&self, id: Id) -> PathBuf {
        self.root.join(id.path())
    }
}

/// Whether a folder is what an interrupted save or copy left. One that cannot be looked into is not: it may be a whole checkpoint.
fn is_torn(path: &Path) -> bool {
    let is_aside = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ASIDE));
    path.is_dir() && (is_aside || matches!(path.join(layout::CHECKPOINT_MANIFEST).try_exists(), Ok(false)))
}

/// Removes a checkpoint, its manifest first, so that no half of one is ever taken for a whole.
pub(super) fn remove_checkpoint(folder: &Path) -> Result<()> {
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

#[cfg(test)]
mod tests;
