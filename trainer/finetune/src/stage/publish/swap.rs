//! How a new model takes the output's place: by a rename, and what was there is removed after that, never before.
//!
//! ```text
//! NAME             the published model
//! .tmp-NAME        what is being written and checked
//! .replaced-NAME   the model that gave way to it, until it is removed
//! ```
//!
//! All three stand side by side, because no rename leaves a file system. A process may die between any two of these steps: whatever has
//! the output's name is whole, and the next run clears the rest.

use crate::durable::{create_folder, sync_folder};
use crate::events::warn;
use crate::failure::{Failure, Result};
use crate::kill_point::{self, kill_point};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How the name begins of what is being written.
const ASIDE: &str = ".tmp-";
/// How the name begins of what is about to be removed.
const REPLACED: &str = ".replaced-";

/// An empty folder beside the output's to write to, and nothing that an earlier run has left, but a model that is the only one there is.
pub(super) fn begin(output: &Path) -> Result<PathBuf> {
    let aside = beside(output, ASIDE)?;
    if output.exists() {
        clear(&beside(output, REPLACED)?);
    }
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(Failure::at("remove", &aside))?;
    }
    create_folder(&aside)?;
    Ok(aside)
}

/// Gives `aside` the output's name. What has that name must be empty or a model; anything else is somebody's.
pub(super) fn take_place(aside: &Path, output: &Path) -> Result<()> {
    let replaced = beside(output, REPLACED)?;
    if output.exists() {
        refuse_others(output)?;
        fs::rename(output, &replaced).map_err(Failure::at("give another name to", output))?;
    }
    kill_point(kill_point::PUBLISH_REPLACING);
    fs::rename(aside, output).map_err(Failure::at("rename to", output)).inspect_err(|_| {
        // The model that was there is better than none.
        let _ = fs::rename(&replaced, output);
    })?;
    sync_folder(output.parent().unwrap_or(Path::new(".")))?;
    clear(&replaced);
    Ok(())
}

fn beside(output: &Path, prefix: &str) -> Result<PathBuf> {
    let name = output.file_name().ok_or_else(|| {
        Failure::invalid(format!("output folder {}: it has no name", output.display()), "give spec.output.storageUri a folder's name")
    })?;
    Ok(output.with_file_name(format!("{prefix}{}", name.to_string_lossy())))
}

fn refuse_others(output: &Path) -> Result<()> {
    let is_empty = fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    let is_model = ["adapter_config.json", "config.json"].iter().any(|name| output.join(name).is_file());
    if is_empty || is_model {
        return Ok(());
    }
    Err(Failure::invalid(
        format!("output folder {}: it holds something that is not a model", output.display()),
        "give spec.output.storageUri a folder of its own",
    ))
}

/// Removes a model that has been replaced. The new one is published whether that works or not, as it does not on a network's file system
/// while somebody still reads the old one.
fn clear(replaced: &Path) {
    match fs::remove_dir_all(replaced) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            warn(format!("{}, a model that was replaced, cannot be removed: {error}; remove it by hand", replaced.display()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{begin, take_place};
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;
    use temper_contract::ExitCode;

    /// Makes a folder with a model whose weights say `text`.
    fn write(folder: &Path, text: &str) {
        fs::create_dir_all(folder).expect("a folder");
        for name in ["config.json", "model.safetensors"] {
            fs::write(folder.join(name), text).expect("a file");
        }
    }

    /// Publishes a model beside what a run has left in `folder`; what is there then is that model and nothing else.
    fn publishes(folder: &Path) {
        let output = folder.join("tuned");
        let aside = begin(&output).expect("nothing is in the way");
        write(&aside, "new");
        take_place(&aside, &output).expect("nothing is in the way");
        assert_eq!(fs::read_to_string(output.join("model.safetensors")).expect("published"), "new");
        let names: BTreeSet<_> = fs::read_dir(folder).expect("there").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, BTreeSet::from(["tuned".into()]));
    }

    #[test]
    fn a_model_takes_the_place_of_nothing_of_an_empty_folder_and_of_another_model() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        publishes(folder.path());
        fs::remove_dir_all(folder.path().join("tuned")).expect("there");
        fs::create_dir(folder.path().join("tuned")).expect("a folder");
        publishes(folder.path());
        write(&folder.path().join("tuned"), "old");
        publishes(folder.path());
    }

    #[test]
    fn whatever_a_killed_run_left_is_cleared() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        // Killed while it wrote, with a model in place.
        write(&at("tuned"), "old");
        write(&at(".tmp-tuned"), "half");
        publishes(folder.path());
        // Killed between the renames: the old model stays until the new one is in place.
        write(&at(".replaced-tuned"), "old");
        fs::rename(at("tuned"), at(".tmp-tuned")).expect("one file system");
        begin(&at("tuned")).expect("nothing is in the way");
        assert!(at(".replaced-tuned/config.json").exists());
        publishes(folder.path());
        // Killed while it removed the old model: what is left of that is no model any more.
        write(&at(".replaced-tuned"), "old");
        fs::remove_file(at(".replaced-tuned/config.json")).expect("there");
        publishes(folder.path());
    }

    #[test]
    fn what_is_not_a_model_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = folder.path().join("tuned");
        fs::create_dir(&output).expect("a folder");
        fs::write(output.join("thesis.txt"), "years of work").expect("a file");
        let aside = begin(&output).expect("nothing is in the way");
        let failure = take_place(&aside, &output).expect_err("it is somebody's");
        assert_eq!(failure.reason, ExitCode::InvalidInput);
        assert!(failure.message.contains("tuned") && failure.message.contains("not a model"), "{failure}");
        assert!(output.join("thesis.txt").exists());
    }
}
