//! Copies of checkpoints at an object store: made in the background, and taken where this machine has none.
//!
//! The place has the same layout as the checkpoint folder, and the same rules: an attempt writes below its own path, a checkpoint's
//! manifest is its last file, and a reader takes the newest of the highest attempt that is whole.

use super::manifest::Manifest;
use super::retention::{Id, outdated};
use super::store::{committed, number_after};
use crate::durable::{create_folder, read_json, sync_folder};
use crate::events::warn;
use crate::failure::{Failure, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use temper_contract::{TrainerConfig, layout};
use temper_storage::{Kind, Mirror, Settings, blocking};

/// Copies checkpoints, the newest first: one that has waited while a newer one was committed is not copied.
pub(crate) struct Copier {
    queue: Arc<Queue>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    newest: Option<PathBuf>,
    is_closed: bool,
}

impl Copier {
    /// Starts copying in the background, if the job names a place for it.
    pub(crate) fn start(config: &TrainerConfig) -> Result<Option<Self>> {
        let Some(remote) = &config.checkpoint.mirror else { return Ok(None) };
        let mirror = Mirror::open(remote, layout::CHECKPOINT_MANIFEST, &Settings::from_environment())?;
        let (queue, keep) = (Arc::new(Queue::default()), config.checkpoint.save_total_limit);
        let shared = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("checkpoint-copies".to_owned()).spawn(move || {
            while let Some(folder) = shared.next() {
                copy(&mirror, &folder, keep);
            }
        });
        let thread = thread.map_err(|error| Failure::unexpected(format!("failed to start a thread: {error}")))?;
        Ok(Some(Self { queue, thread }))
    }

    /// Copies this committed checkpoint next.
    pub(crate) fn offer(&self, folder: &Path) {
        self.queue.lock().newest = Some(folder.to_owned());
        self.queue.changed.notify_one();
    }

    /// Waits until the newest checkpoint is copied, or has failed to be.
    pub(crate) fn finish(self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_one();
        if self.thread.join().is_err() {
            warn("the thread that copies checkpoints panicked; the checkpoints on this machine are whole".to_owned());
        }
    }
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is two plain fields, each set at once: whole whatever a thread that panicked did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest checkpoint that waits; `None` when no more will come.
    fn next(&self) -> Option<PathBuf> {
        let mut state = self.lock();
        loop {
            if let Some(folder) = state.newest.take() {
                return Some(folder);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Copies one checkpoint and removes what is outdated. Training does not depend on it: the one on this machine is whole.
fn copy(mirror: &Mirror, folder: &Path, keep: usize) {
    let Some(id) = id_of(folder) else { return };
    let copied = blocking::run(async {
        mirror.put(folder, &path_of(id)).await?;
        let there = mirror.list().await?.iter().filter_map(|path| id_of(Path::new(path))).collect();
        for old in outdated(there, keep) {
            mirror.remove(&path_of(old)).await?;
        }
        Ok(())
    });
    match copied {
        Ok(()) => tracing::info!(step = id.step, "the checkpoint is copied to {}", mirror.uri()),
        // Outdated and removed while it was copied: a newer one waits.
        Err(_) if !folder.join(layout::CHECKPOINT_MANIFEST).exists() => {}
        Err(error) => warn(format!("the checkpoint of step {} is not copied: {error}; {}", id.step, error.next_step)),
    }
}

/// Brings the newest whole checkpoint to this machine, if it has none and the job names a place with copies. Training must not begin
/// anew only because that place cannot be reached, so that is a failure.
pub(crate) fn restore(config: &TrainerConfig) -> Result<()> {
    let Some(remote) = &config.checkpoint.mirror else { return Ok(()) };
    let root = &config.checkpoint_folder;
    if !committed(root).is_empty() {
        return Ok(());
    }
    let mirror = Mirror::open(remote, layout::CHECKPOINT_MANIFEST, &Settings::from_environment())?;
    let there = blocking::run(mirror.list())?;
    let mut ids: Vec<Id> = there.iter().filter_map(|path| id_of(Path::new(path))).collect();
    ids.sort_unstable();
    for id in ids.into_iter().rev() {
        match bring(&mirror, root, id) {
            Ok(None) => {
                tracing::info!(attempt = id.attempt, step = id.step, "the checkpoint is brought from {}", mirror.uri());
                return Ok(());
            }
            Ok(Some(damage)) => warn(format!("the checkpoint {}/{} is damaged and passed over: {damage}", mirror.uri(), path_of(id))),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Brings one checkpoint; `Some` says how it is damaged.
fn bring(mirror: &Mirror, root: &Path, id: Id) -> Result<Option<String>> {
    let committed = root.join(path_of(id));
    let attempt_folder = committed.parent().unwrap_or(root);
    create_folder(attempt_folder)?;
    // Processes of other nodes may do the same in the same folder.
    let aside = attempt_folder.join(format!(".tmp-brought-{}-{}", std::process::id(), layout::step_folder(id.step)));
    let remove_aside = || {
        let _ = fs::remove_dir_all(&aside);
    };
    match blocking::run(mirror.get(&path_of(id), &aside)) {
        Ok(()) => {}
        Err(error) if matches!(error.kind, Kind::Corrupt | Kind::NotFound) => {
            remove_aside();
            return Ok(Some(error.to_string()));
        }
        Err(error) => {
            remove_aside();
            return Err(error.into());
        }
    }
    let manifest: Option<Manifest> = read_json(&aside.join(layout::CHECKPOINT_MANIFEST)).ok().flatten();
    let damage = manifest.map_or(Some("manifest.json cannot be read".to_owned()), |manifest| manifest.damage(&aside));
    if damage.is_some() {
        remove_aside();
        return Ok(damage);
    }
    sync_folder(&aside)?;
    if let Err(error) = fs::rename(&aside, &committed) {
        remove_aside();
        // Another node's process was first.
        if !committed.join(layout::CHECKPOINT_MANIFEST).is_file() {
            return Err(Failure::storage("rename to", &committed, &error));
        }
    }
    sync_folder(attempt_folder)?;
    Ok(None)
}

fn path_of(id: Id) -> String {
    format!("{}/{}", layout::attempt_folder(id.attempt), layout::step_folder(id.step))
}

/// Which checkpoint a folder of that path is.
fn id_of(folder: &Path) -> Option<Id> {
    Some(Id { attempt: number_after(folder.parent()?, "attempt-")?, step: number_after(folder, "step-")? })
}

#[cfg(test)]
mod tests {
    use super::{Id, Queue, id_of, path_of};
    use std::path::{Path, PathBuf};

    #[test]
    fn a_checkpoints_path_tells_which_it_is() {
        let id = Id { attempt: 2, step: 30 };
        assert_eq!(path_of(id), "attempt-2/step-00000030");
        assert_eq!(id_of(Path::new("/checkpoints/attempt-2/step-00000030")), Some(id));
        assert_eq!(id_of(Path::new("attempt-x/step-1")), None);
    }

    #[test]
    fn the_newest_offer_replaces_one_that_waits() {
        let queue = Queue::default();
        queue.lock().newest = Some(PathBuf::from("a"));
        queue.lock().newest = Some(PathBuf::from("b"));
        queue.lock().is_closed = true;
        assert_eq!((queue.next(), queue.next()), (Some(PathBuf::from("b")), None));
    }
}
