//! What a folder of checkpoints holds after saves, failures and damage.

use super::{CheckpointStore, committed};
use crate::checkpoint::{Identity, Tensors, TrainingState};
use crate::optimizer::Moments;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};
use temper_contract::{ExitCode, layout};
use temper_model::Parameter;

/// A model of one matrix, every value of which is the same.
struct Trained {
    parameters: Vec<Parameter>,
    master: Tensor,
    moments: Moments,
}

impl Trained {
    fn new(rows: usize, value: f64) -> Self {
        let parameter = Parameter { name: "w".to_owned(), shape: vec![rows, 2], range: 0..2 * rows, decay: true };
        let master = Tensor::full([2 * rows as i64], value, (Kind::Float, Device::Cpu));
        Self { parameters: vec![parameter], moments: Moments::zeros_like(&master).expect("small"), master }
    }

    fn tensors(&self) -> Tensors<'_> {
        Tensors { parameters: &self.parameters, master: &self.master, moments: &self.moments }
    }

    fn is(&self, value: f64) -> bool {
        (self.master.min().double_value(&[]), self.master.max().double_value(&[])) == (value, value)
    }
}

fn state(step: u64) -> TrainingState {
    let identity = Identity {
        data_digest: String::new(),
        base_model_digest: String::new(),
        seed: 1,
        per_device_train_batch_size: 1,
        micro_batches_per_step: 1,
        total_steps: 100,
    };
    TrainingState { step, ..TrainingState::new(identity) }
}

fn save(store: &mut CheckpointStore, step: u64) -> PathBuf {
    store.save(&state(step), &Trained::new(3, step as f64).tensors(), |_| true, &mut || {}).expect("writable")
}

/// The steps of an attempt's checkpoints, damaged or not.
fn steps(root: &Path, attempt: u64) -> Vec<u64> {
    committed(root).expect("readable").into_iter().filter(|id| id.attempt == attempt).map(|id| id.step).collect()
}

fn damage(folder: &Path) {
    fs::write(folder.join("optimizer.safetensors"), "?").expect("writable");
}

fn newest(root: &Path) -> Option<(u64, u64)> {
    let trained = Trained::new(3, 0.0);
    let found = CheckpointStore::newest(root).expect("readable")?;
    found.load(&trained.tensors()).expect("readable");
    assert!(trained.is(found.state.step as f64), "its own values are loaded");
    Some((found.attempt, found.state.step))
}

#[test]
fn an_attempt_whose_number_went_back_writes_above_those_that_it_finds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    save(&mut CheckpointStore::new(root, 1, 1), 5);
    for (step, writes_as) in [(6, 2), (7, 3)] {
        let mut store = CheckpointStore::new(root, 0, 1);
        assert_eq!(store.find(true).expect("readable").expect("one is whole").state.step, step - 1);
        assert_eq!(store.attempt(), writes_as);
        save(&mut store, step);
        assert_eq!(newest(root), Some((writes_as, step)));
        assert_eq!(committed(root).expect("readable").len(), 1, "the one that it went on from is outdated");
    }
}

#[test]
fn an_attempt_that_was_replaced_neither_displaces_nor_removes_what_the_other_writes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let mut late = CheckpointStore::new(root, 0, 1);
    assert!(late.find(true).expect("readable").is_none());
    save(&mut late, 10);
    let mut other = CheckpointStore::new(root, 1, 1);
    assert_eq!(other.find(true).expect("readable").expect("one is whole").state.step, 10);
    save(&mut other, 20);
    save(&mut late, 30);
    assert_eq!((newest(root), steps(root, 0)), (Some((1, 20)), vec![30]));
    // Started again in place.
    let mut late = CheckpointStore::new(root, 0, 1);
    assert_eq!(late.find(false).expect("readable").expect("one is whole").attempt, 1);
    save(&mut late, 31);
    assert_eq!((newest(root), steps(root, 0)), (Some((1, 20)), vec![31]));
    save(&mut other, 21);
    assert_eq!((newest(root), committed(root).expect("readable").len()), (Some((1, 21)), 1));
}

#[test]
fn damaged_checkpoints_of_later_steps_give_way_to_what_is_saved() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let mut store = CheckpointStore::new(root, 0, 2);
    for step in [20, 30] {
        damage(&save(&mut store, step));
    }
    let mut store = CheckpointStore::new(root, 0, 2);
    assert!(store.find(true).expect("readable").is_none());
    save(&mut store, 10);
    assert_eq!((newest(root), steps(root, 0)), (Some((0, 10)), vec![10]));
    // The same step again.
    damage(&save(&mut store, 20));
    let mut store = CheckpointStore::new(root, 0, 2);
    assert_eq!(store.find(true).expect("readable").expect("one is whole").state.step, 10);
    save(&mut store, 20);
    assert_eq!((newest(root), steps(root, 0)), (Some((0, 20)), vec![10, 20]));
}

#[test]
fn a_checkpoint_that_could_not_be_read_for_a_while_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let whole = save(&mut CheckpointStore::new(root, 0, 1), 30).join("state.json");
    let away = folder.path().join("away");
    fs::rename(&whole, &away).expect("one file system");
    let mut store = CheckpointStore::new(root, 0, 1);
    assert!(store.find(true).expect("readable").is_none());
    fs::rename(&away, &whole).expect("one file system");
    save(&mut store, 10);
    assert_eq!((newest(root), steps(root, 0)), (Some((0, 30)), vec![10, 30]));
}

#[test]
fn what_is_in_use_is_removed_later() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let mut store = CheckpointStore::new(root, 0, 1);
    let in_use = save(&mut store, 1);
    for step in [2, 3] {
        store.save(&state(step), &Trained::new(3, 0.0).tensors(), |folder| folder != in_use, &mut || {}).expect("writable");
        assert_eq!(steps(root, 0), [1, step]);
    }
    save(&mut store, 4);
    assert_eq!(steps(root, 0), [4]);
}

#[test]
fn what_interrupted_saves_and_copies_left_is_removed_of_earlier_attempts_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let place = |attempt, name: &str, has_manifest: bool| {
        let folder = root.join(layout::attempt_folder(attempt)).join(name);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("weights.safetensors"), "w").expect("written");
        if has_manifest {
            fs::write(folder.join(layout::CHECKPOINT_MANIFEST), "{}").expect("written");
        }
        folder
    };
    let (mut torn, mut others) = (Vec::new(), vec![place(2, ".tmp-step-00000009", false), place(2, "step-00000008", false)]);
    for attempt in [0, 1] {
        torn.push(place(attempt, ".tmp-step-00000003", false));
        torn.push(place(attempt, "step-00000004", false));
        torn.push(place(attempt, ".tmp-brought-1-step-00000005", true));
        others.push(place(attempt, "step-00000006", true));
    }
    CheckpointStore::new(root, 1, 1).clean().expect("writable");
    assert!(!torn.iter().any(|folder| folder.exists()), "{torn:?}");
    assert!(others.iter().all(|folder| folder.exists()), "{others:?}");
}

#[test]
fn a_checkpoint_of_another_model_is_another_jobs_and_not_damaged() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    save(&mut CheckpointStore::new(folder.path(), 0, 1), 5);
    let other = Trained::new(4, 0.0);
    let found = CheckpointStore::newest(folder.path()).expect("readable").expect("it is whole");
    let failure = found.load(&other.tensors()).expect_err("of another shape");
    assert_eq!(failure.reason, ExitCode::InvalidInput);
    for part in ["step-00000005", "another job", "weights.safetensors: tensor w is F32 [3, 2] instead of F32 [4, 2]"] {
        assert!(failure.message.contains(part), "{part} in {failure}");
    }
    assert!(other.is(0.0), "nothing is changed");
}

#[test]
fn a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("checkpoints");
    assert!(CheckpointStore::newest(&root).expect("there is none yet").is_none());
    fs::write(&root, "").expect("writable");
    let failure = CheckpointStore::new(&root, 0, 1).find(true).expect_err("this is no folder");
    assert_eq!(failure.reason, ExitCode::Storage);
    assert!(failure.message.contains(&format!("failed to list {}", root.display())), "{failure}");
}

#[test]
fn the_trained_values_are_loaded_without_the_moments() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    save(&mut CheckpointStore::new(folder.path(), 0, 1), 5);
    let trained = Trained::new(3, 0.0);
    let found = CheckpointStore::newest(folder.path()).expect("readable").expect("it is whole");
    found.load_weights(&trained.parameters, &trained.master).expect("readable");
    assert!(trained.is(5.0));
    let other = Trained::new(4, 0.0);
    let failure = found.load_weights(&other.parameters, &other.master).expect_err("of another shape");
    assert_eq!(failure.reason, ExitCode::InvalidInput);
    assert!(other.is(0.0), "nothing is changed");
}

#[test]
fn a_checkpoint_that_is_loaded_in_part_ends_the_process() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    save(&mut CheckpointStore::new(folder.path(), 0, 1), 5);
    let mut trained = Trained::new(3, 0.0);
    // Torch refuses to write into a part of such a tensor, as a disk may refuse to read.
    trained.moments.second = trained.moments.second.set_requires_grad(true);
    let found = CheckpointStore::newest(folder.path()).expect("readable").expect("it is whole");
    let failure = found.load(&trained.tensors()).expect_err("half of it");
    assert_eq!(failure.reason, ExitCode::Storage);
    assert!(failure.message.contains("optimizer.safetensors: tensor exp_avg_sq.w"), "{failure}");
}
