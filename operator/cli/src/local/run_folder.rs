//! The folder of one run: what the trainer's contract names in it, and what this executor adds.

use crate::local::disk;
use crate::local::durable;
use anyhow::Result;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use temper_contract::layout;
use temper_contract::report::{PrepareReport, PublishReport, Restarts, TrainReport};
use temper_planner::{CheckpointReference, Stage};

/// The folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// The run in this folder, which need not exist yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What this executor remembers.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Answers before and after tuning.
    pub fn comparison(&self) -> PathBuf {
        self.root.join("comparison.json")
    }

    /// The trainer's configuration.
    pub fn config(&self) -> PathBuf {
        self.root.join(layout::CONFIG)
    }

    /// Where checkpoints go unless the manifest says otherwise.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join(layout::CHECKPOINTS)
    }

    /// Where the model is published unless the manifest says otherwise.
    pub fn output(&self) -> PathBuf {
        self.root.join("output")
    }

    /// The folder of logs.
    pub fn logs(&self) -> PathBuf {
        self.root.join(layout::LOGS)
    }

    /// The log of one process.
    pub fn log(&self, stage: Stage, attempt: u64, node: usize) -> PathBuf {
        self.logs().join(format!("{}.log", process_name(stage, attempt, node)))
    }

    /// Where one process leaves its last words.
    pub fn last_words(&self, stage: Stage, attempt: u64, node: usize) -> PathBuf {
        self.root.join("last-words").join(format!("{}.json", process_name(stage, attempt, node)))
    }

    /// `prepare`'s report, once it is done.
    pub fn prepare_report(&self) -> Result<Option<PrepareReport>> {
        self.report(layout::PREPARE_REPORT)
    }

    /// `train`'s report, once it is done.
    pub fn train_report(&self) -> Result<Option<TrainReport>> {
        self.report(layout::TRAIN_REPORT)
    }

    /// `publish`'s report, once it is done and as long as its folder is there.
    pub fn publish_report(&self) -> Result<Option<PublishReport>> {
        Ok(self.report::<PublishReport>(layout::PUBLISH_REPORT)?.filter(|report| Path::new(&report.path).is_dir()))
    }

    /// Restarts in place so far, over all attempts.
    pub fn in_place_restarts(&self) -> Result<u64> {
        Ok(self.report::<Restarts>(layout::RESTARTS)?.map_or(0, |restarts| restarts.in_place))
    }

    fn report<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        durable::read_json(&self.root.join(name))
    }

    /// Makes the folders that processes write into.
    pub fn create(&self) -> Result<()> {
        for folder in [self.root.clone(), self.logs(), self.root.join("last-words")] {
            fs::create_dir_all(&folder).map_err(disk::refused(|| format!("cannot make the folder {}", folder.display())))?;
        }
        Ok(())
    }

    /// Deletes everything but what this executor remembers.
    pub fn clear(&self) -> Result<()> {
        let list = || format!("cannot list {}", self.root.display());
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(disk::refused(list))?,
        };
        for entry in entries {
            let path = entry.map_err(disk::refused(list))?.path();
            if path == self.state() {
                continue;
            }
            let is_folder = path.is_dir() && !path.is_symlink();
            let deleted = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            deleted.map_err(disk::refused(|| format!("cannot delete {}", path.display())))?;
        }
        Ok(())
    }
}

fn process_name(stage: Stage, attempt: u64, node: usize) -> String {
    match stage {
        Stage::Train => format!("train-attempt-{attempt}-node-{node}"),
        stage => format!("{}-attempt-{attempt}", stage.name()),
    }
}

/// The newest durable checkpoint: the highest attempt's highest step that has a manifest.
pub fn newest_checkpoint(checkpoints: &Path) -> Option<CheckpointReference> {
    let mut attempts = numbered(checkpoints, "attempt-");
    attempts.sort_by_key(|(attempt, _)| std::cmp::Reverse(*attempt));
    attempts.into_iter().find_map(|(attempt, folder)| {
        let committed = |(_, folder): &(u64, PathBuf)| folder.join(layout::CHECKPOINT_MANIFEST).is_file();
        let newest = numbered(&folder, "step-").into_iter().filter(committed).max_by_key(|(step, _)| *step);
        newest.map(|(step, folder)| CheckpointReference { attempt, step, uri: folder.display().to_string() })
    })
}

/// Entries of a folder named PREFIX and a number.
fn numbered(folder: &Path, prefix: &str) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok();
    entries.flatten().filter_map(|entry| number(&entry.path()).map(|number| (number, entry.path()))).collect()
}

#[cfg(test)]
mod tests {
    use super::{RunFolder, newest_checkpoint};
    use std::fs;
    use temper_contract::layout;

    #[test]
    fn clearing_leaves_what_the_executor_remembers() {
        let root = tempfile::tempdir().expect("a folder");
        let run = RunFolder::new(root.path().join("run"));
        run.clear().expect("nothing to delete");
        run.create().expect("made");
        for path in [run.state(), run.config(), run.logs().join("train.log")] {
            fs::write(path, "{}").expect("written");
        }
        std::os::unix::fs::symlink(root.path(), run.checkpoints()).expect("linked");
        run.clear().expect("deleted");
        let left: Vec<_> = fs::read_dir(run.root()).expect("listed").map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(left, [run.state()]);
    }

    #[test]
    fn the_newest_committed_checkpoint_of_the_highest_attempt_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let place = |attempt, step, committed: bool| {
            let folder = root.path().join(layout::attempt_folder(attempt)).join(layout::step_folder(step));
            fs::create_dir_all(&folder).expect("made");
            if committed {
                fs::write(folder.join(layout::CHECKPOINT_MANIFEST), "{}").expect("written");
            }
        };
        assert_eq!(newest_checkpoint(root.path()), None);
        place(0, 40, true);
        place(10, 20, true);
        place(10, 30, false);
        place(11, 90, false);
        let found = newest_checkpoint(root.path()).expect("one");
        assert_eq!((found.attempt, found.step), (10, 20));
        assert!(found.uri.ends_with("attempt-10/step-00000020"));
    }
}
