//! Checkpoints that are brought back from the object store that has copies of them.

use super::found::{committed, verify};
use super::id::Id;
use super::store::{ASIDE, remove_checkpoint};
use crate::durable::{create_folder, sync_folder};
use crate::events::warn;
use crate::failure::{Failure, Result};
use std::fs;
use std::path::Path;
use temper_contract::config::Remote;
use temper_contract::{TrainerConfig, layout};
use temper_storage::{Kind, Mirror, Settings, blocking};

/// What a fetch that is under way keeps in the folder that it fills.
const FETCHING: &str = ".fetch";

/// Brings the newest whole checkpoint to this machine, if the job names a place with copies and the newest one here is damaged, or there is
/// none. Training must not begin anew only because that place cannot be reached, so that is a failure, unless an older one here is whole.
pub(crate) fn restore(config: &TrainerConfig) -> Result<()> {
    let Some(remote) = &config.checkpoint.mirror else { return Ok(()) };
    let root = &config.checkpoint_folder;
    let here = committed(root)?;
    let whole = here.iter().rev().copied().find(|id| verify(&root.join(id.path()), *id).is_ok());
    if whole.is_some() && whole.as_ref() == here.last() {
        return Ok(());
    }
    match bring_newest(remote, root, whole) {
        Err(failure) if whole.is_some() => {
            warn(format!("the newest checkpoint here is damaged, and no copy of it can be brought: {failure}; {}", failure.next_step));
            Ok(())
        }
        outcome => outcome,
    }
}

/// Brings the newest copy that is whole, of those that readers prefer to what is here.
fn bring_newest(remote: &Remote, root: &Path, here: Option<Id>) -> Result<()> {
    let mirror = Mirror::open(remote, layout::CHECKPOINT_MANIFEST, &Settings::from_environment())?;
    let there = blocking::run(mirror.list())?;
    let mut ids: Vec<Id> = there.iter().filter_map(|path| Id::of(Path::new(path))).collect();
    ids.retain(|id| here.is_none_or(|here| *id > here));
    ids.sort_unstable();
    for id in ids.into_iter().rev() {
        match bring(&mirror, root, id)? {
            None => {
                tracing::info!(attempt = id.attempt, step = id.step, "the checkpoint is brought from {}", mirror.uri());
                return Ok(());
            }
            Some(damage) => warn(format!("the checkpoint {}/{} is damaged and passed over: {damage}", mirror.uri(), id.path())),
        }
    }
    Ok(())
}

/// Brings one checkpoint; `Some` says how it is damaged.
fn bring(mirror: &Mirror, root: &Path, id: Id) -> Result<Option<String>> {
    let committed = root.join(id.path());
    let attempt_folder = committed.parent().unwrap_or(root);
    create_folder(attempt_folder)?;
    // Processes of other nodes may do the same in the same folder.
    let aside = attempt_folder.join(format!("{ASIDE}brought-{}-{}", std::process::id(), layout::step_folder(id.step)));
    let remove_aside = || {
        let _ = fs::remove_dir_all(&aside);
    };
    // What a process of this number has left is gone on with as long as the fetch is: to finished files none would add others.
    if !aside.join(FETCHING).is_dir() {
        remove_aside();
    }
    match blocking::run(mirror.get(&id.path(), &aside)) {
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
    if let Err(damage) = verify(&aside, id) {
        remove_aside();
        return Ok(Some(damage));
    }
    sync_folder(&aside)?;
    give_name(&aside, &committed, id).inspect_err(|_| remove_aside())?;
    sync_folder(attempt_folder)?;
    Ok(None)
}

/// Gives a checkpoint that was brought its name. One of that name that is damaged gives way; one that is whole is another node's process's,
/// which was first.
fn give_name(aside: &Path, committed: &Path, id: Id) -> Result<()> {
    if fs::rename(aside, committed).is_ok() {
        return Ok(());
    }
    if verify(committed, id).is_ok() {
        let _ = fs::remove_dir_all(aside);
        return Ok(());
    }
    remove_checkpoint(committed)?;
    fs::rename(aside, committed).map_err(Failure::at("rename to", committed))
}
