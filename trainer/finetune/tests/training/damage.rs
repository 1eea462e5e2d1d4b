//! Damaged checkpoints are refused, whatever the damage, and the one before is taken.

use crate::job::{Job, PATIENCE, Running};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use temper_c10d::Store;
use temper_contract::config::Method;
use temper_contract::{Event, ExitCode, TrainerConfig, env};

pub(crate) fn flip_a_bit(path: &Path, from_end: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    let at = file.metadata().expect("it is there").len() - from_end;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("inside the file");
    file.write_all_at(&[byte[0] ^ 1], at).expect("writable");
}

/// A job killed after its checkpoint of step 9; that of step 6 is there too.
fn killed() -> Job {
    let mut job = Job::new();
    job.must("prepare");
    job.variable(env::KILL_AT, "group:train.step_logged@10");
    assert_eq!(job.run("train").code(), -9);
    job.variables.clear();
    assert_eq!(job.checkpoints(0).len(), 2);
    job
}

pub(crate) fn resumed_from(events: &[Event]) -> Option<u64> {
    events.iter().find_map(|event| match event {
        Event::Started { resumed_from_step, .. } => Some(*resumed_from_step),
        _ => None,
    })
}

#[test]
fn a_damaged_checkpoint_is_passed_over_with_a_warning_that_names_the_file() {
    type Damage = fn(&Path);
    let table: [(&str, Damage); 8] = [
        ("weights.safetensors", |folder| flip_a_bit(&folder.join("weights.safetensors"), 5)),
        ("weights.safetensors", |folder| {
            flip_a_bit(&folder.join("weights.safetensors"), fs::metadata(folder.join("weights.safetensors")).expect("there").len() - 20)
        }),
        ("optimizer.safetensors", |folder| flip_a_bit(&folder.join("optimizer.safetensors"), 1)),
        ("state.json", |folder| flip_a_bit(&folder.join("state.json"), 20)),
        ("optimizer.safetensors", |folder| {
            let file = OpenOptions::new().write(true).open(folder.join("optimizer.safetensors")).expect("there");
            file.set_len(100).expect("writable");
        }),
        ("state.json", |folder| fs::remove_file(folder.join("state.json")).expect("there")),
        ("manifest.json", |folder| fs::write(folder.join("manifest.json"), "{\"version\": 1").expect("writable")),
        ("manifest.json", |folder| {
            let manifest = fs::read_to_string(folder.join("manifest.json")).expect("there");
            fs::write(folder.join("manifest.json"), manifest.replace("\"step\": 9", "\"step\": 8")).expect("writable");
        }),
    ];
    let reference = Job::new();
    reference.complete();
    for (file, damage) in table {
        let job = killed();
        damage(&job.checkpoints(0)[1]);
        let outcome = job.must("train");
        assert_eq!(resumed_from(&outcome.events), Some(6), "{file}");
        assert!(
            outcome.warnings().iter().any(|warning| warning.contains("step-00000009") && warning.contains(file)),
            "{file}: {:?}",
            outcome.warnings()
        );
        job.must("publish");
        assert_eq!(job.adapter(), reference.adapter(), "{file}");
    }
}

#[test]
fn a_checkpoint_without_a_manifest_does_not_exist() {
    let job = killed();
    fs::remove_file(job.checkpoints(0)[1].join("manifest.json")).expect("there");
    let outcome = job.must("train");
    assert_eq!(resumed_from(&outcome.events), Some(6));
    assert!(outcome.warnings().is_empty(), "an interrupted save is nothing to warn of: {:?}", outcome.warnings());
}

#[test]
fn with_every_checkpoint_damaged_training_starts_over() {
    let reference = Job::new();
    reference.complete();
    let job = killed();
    job.checkpoints(0).iter().for_each(|folder| flip_a_bit(&folder.join("weights.safetensors"), 5));
    let outcome = job.must("train");
    assert_eq!((resumed_from(&outcome.events), outcome.warnings().len()), (Some(0), 2));
    job.must("publish");
    assert_eq!(job.adapter(), reference.adapter());
}

#[test]
fn a_late_write_of_an_older_attempt_is_not_preferred() {
    let mut job = killed();
    // Attempt 0 is about to commit step 9 when attempt 1 goes on from step 6 and gets to step 7.
    let (late, asleep) = (job.checkpoints(0)[1].clone(), job.path("asleep"));
    fs::rename(&late, &asleep).expect("one file system");
    job.config.checkpoint.save_steps = Some(1);
    job.variable(env::ATTEMPT, "1").variable(env::KILL_AT, "group:checkpoint.after_manifest");
    assert_eq!(job.run("train").code(), -9);
    assert_eq!(job.checkpoints(1).len(), 1, "attempt 1 saved step 7");
    fs::rename(&asleep, &late).expect("one file system");
    job.variable(env::ATTEMPT, "2").variables.retain(|(name, _)| *name != env::KILL_AT);
    assert_eq!(resumed_from(&job.must("train").events), Some(7));
}

#[test]
fn another_jobs_checkpoint_is_refused() {
    let mut job = killed();
    job.config.hyperparameters.seed = 43;
    let outcome = job.run("train");
    outcome.expect(ExitCode::InvalidInput);
    let message = job.termination();
    assert!(message.message.contains("step-00000009") && message.message.contains("seed 42 instead of 43"), "{message:?}");
}

#[test]
fn a_checkpoint_of_another_lora_rank_is_refused() {
    let job = killed().with(|config| {
        let Method::Lora(lora) = &mut config.method else { unreachable!() };
        lora.r = 8;
    });
    let outcome = job.run("train");
    outcome.expect(ExitCode::InvalidInput);
    let message = job.termination();
    assert!(message.message.contains("step-00000009") && message.message.contains("to other settings: weights.safetensors"), "{message:?}");
    assert_eq!(job.checkpoints(0).len(), 2, "nothing is begun anew");
}

#[test]
fn ranks_that_find_different_checkpoints_of_one_step_do_not_train_together() {
    let mut job = killed();
    // What rank 1 sees: the same step, written under another number.
    let (seen, other) = (job.checkpoints(0)[1].clone(), job.path("elsewhere/attempt-1/step-00000009"));
    fs::create_dir_all(&other).expect("writable");
    for file in fs::read_dir(&seen).expect("there").flatten() {
        fs::copy(file.path(), other.join(file.file_name())).expect("writable");
    }
    let manifest = fs::read_to_string(other.join("manifest.json")).expect("there");
    fs::write(other.join("manifest.json"), manifest.replace("\"attempt\": 0", "\"attempt\": 1")).expect("writable");
    let store = Store::host(0, PATIENCE).expect("a free port");
    job.variable(env::MASTER_PORT, store.port().to_string()).variable(env::WORLD_SIZE, "2");
    let ranks = [(0, job.config.checkpoint_folder.clone()), (1, job.path("elsewhere"))].map(|(rank, checkpoint_folder)| {
        let config = TrainerConfig { checkpoint_folder, ..job.config.clone() };
        let path = job.path(&format!("config-{rank}.json"));
        fs::write(&path, serde_json::to_vec(&config).expect("plain fields")).expect("writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper-trainer"));
        command.arg("rank").arg("--config").arg(path);
        job.isolate(&mut command);
        command.env(env::RANK, rank.to_string()).env(env::TERMINATION_MESSAGE_PATH, job.path(&format!("termination-{rank}.json")));
        Running::start(command)
    });
    for rank in ranks {
        rank.finish().expect(ExitCode::PeerLost);
    }
}

#[test]
fn only_the_newest_checkpoints_are_kept() {
    let job = Job::new();
    job.must("prepare");
    job.must("train");
    let kept: Vec<String> =
        job.checkpoints(0).iter().map(|folder| folder.file_name().expect("named").to_string_lossy().into_owned()).collect();
    assert_eq!(kept, ["step-00000009", "step-00000012"]);
}
