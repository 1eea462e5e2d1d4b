//! Copies of checkpoints at an object store, made in the background.
//!
//! The place has the same layout as the checkpoint folder, and the same rules: an attempt writes below its own path, a checkpoint's
//! manifest is its last file, and a reader takes the newest of the highest attempt that is whole.

use super::id::Id;
use super::retention::outdated;
use crate::events::warn;
use crate::failure::{Failure, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use temper_contract::{TrainerConfig, layout};
use temper_storage::{Mirror, Settings, blocking};

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
    /// The one that waits.
    newest: Option<PathBuf>,
    /// The one that is being copied.
    copying: Option<PathBuf>,
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

    /// Whether a checkpoint may be removed: one that is being copied may not, or no copy of a job that saves faster than it copies would
    /// ever be finished. One that waits is given up; a newer one is offered next.
    pub(crate) fn gives_up(&self, folder: &Path) -> bool {
        self.queue.gives_up(folder)
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
        // The state is plain fields, each set at once: whole whatever a thread that panicked did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest checkpoint that waits; `None` when no more will come.
    fn next(&self) -> Option<PathBuf> {
        let mut state = self.lock();
        state.copying = None;
        loop {
            if let Some(folder) = state.newest.take() {
                state.copying = Some(folder.clone());
                return Some(folder);
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn gives_up(&self, folder: &Path) -> bool {
        let mut state = self.lock();
        if state.newest.as_deref() == Some(folder) {
            state.newest = None;
        }
        state.copying.as_deref() != Some(folder)
    }
}

/// Copies one checkpoint and removes what is outdated. Training does not depend on it: the one on this machine is whole.
fn copy(mirror: &Mirror, folder: &Path, keep: usize) {
    let Some(id) = Id::of(folder) else { return };
    let copied = blocking::run(async {
        mirror.put(folder, &id.path()).await?;
        let there = mirror.list().await?.iter().filter_map(|path| Id::of(Path::new(path))).collect();
        for old in outdated(there, keep, id) {
            mirror.remove(&old.path()).await?;
        }
        Ok(())
    });
    match copied {
        Ok(()) => tracing::info!(step = id.step, "the checkpoint is copied to {}", mirror.uri()),
        // Not this process's doing: what it copies it does not remove.
        Err(_) if !folder.join(layout::CHECKPOINT_MANIFEST).exists() => {
            warn(format!("the copy of the checkpoint of step {} is given up: {} was removed meanwhile", id.step, folder.display()));
        }
        Err(error) => warn(format!("the checkpoint of step {} is not copied: {error}; {}", id.step, error.next_step)),
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_newest_offer_replaces_one_that_waits() {
        let queue = Queue::default();
        queue.lock().newest = Some(PathBuf::from("a"));
        queue.lock().newest = Some(PathBuf::from("b"));
        queue.lock().is_closed = true;
        assert_eq!((queue.next(), queue.next()), (Some(PathBuf::from("b")), None));
    }

    #[test]
    fn what_is_being_copied_is_not_given_up_and_what_waits_is() {
        let (a, b) = (Path::new("a"), Path::new("b"));
        let queue = Queue::default();
        queue.lock().newest = Some(a.to_owned());
        assert_eq!(queue.next().as_deref(), Some(a));
        queue.lock().newest = Some(b.to_owned());
        assert!(!queue.gives_up(a), "it is being copied");
        assert!(queue.gives_up(b), "it only waits");
        queue.lock().is_closed = true;
        assert_eq!(queue.next(), None, "what was given up is not copied");
        assert!(queue.gives_up(a), "its copy is over");
    }
}
