//! `temper run` against a trainer that only speaks the contract.

mod support;

use std::fs;
use support::Setting;

#[test]
fn a_whole_run_prepares_trains_publishes_and_registers() {
    let setting = Setting::new();
    let ran = setting.run(&[]).ended_with(0);
    insta::assert_snapshot!("summary", ran.stdout);
    insta::assert_snapshot!("progress", ran.stderr);
    assert_eq!(setting.stages(), ["prepare", "train", "publish"]);
    assert_eq!(setting.versions(), ["1"]);
    let manifest = fs::read_to_string(setting.path("home/registry/listings/1/model-version.yaml")).expect("a version");
    for part in ["kind: ModelVersion", "version: 1", "stage: Staging", "validationLoss: \"1\"", "uri: pvc://models/base.gguf"] {
        assert!(manifest.contains(part), "{part} in {manifest}");
    }
}

#[test]
fn a_complete_run_says_so_without_the_trainer() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    fs::remove_file(setting.path("trainer/temper-trainer")).expect("removed");
    setting.run(&[]).ended_with(0).says("listings is already complete").says("7.3891");
    let json: serde_json::Value = serde_json::from_str(&setting.run(&["-o", "json"]).ended_with(0).stdout).expect("JSON");
    assert_eq!(json["alreadyComplete"], true);
    assert_eq!(json["modelVersion"]["version"], 1);
    assert!((json["heldOut"]["perplexityDrop"].as_f64().expect("a number") - 0.632).abs() < 1e-3, "{json}");
}

#[test]
fn fresh_starts_over_and_leaves_the_registry() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    fs::write(setting.run_folder().join("leftover"), "").expect("written");
    setting.run(&["--fresh"]).ended_with(0).says("listings is complete");
    assert!(!setting.run_folder().join("leftover").exists());
    assert_eq!(setting.stages().len(), 6);
    assert_eq!(setting.versions(), ["1"], "the same artifact of the same run is the same version");
}

#[test]
fn fresh_copies_checkpoints_apart_from_those_of_before() {
    let setting = Setting::new();
    setting.edit("  method:\n", "  checkpoint: {storageUri: s3://bucket/checkpoints}\n  method:\n");
    let copies = |stage: &str| {
        let text = fs::read_to_string(setting.path(&format!("trainer/config-{stage}"))).expect("a configuration");
        let config: temper_contract::TrainerConfig = serde_json::from_str(&text).expect("one that the trainer understands");
        config.checkpoint.mirror.expect("a place for copies").uri
    };
    setting.run(&[]).ended_with(0);
    let first = copies("train");
    assert!(first.starts_with("s3://bucket/checkpoints/listings-"), "{first}");
    setting.run(&["--fresh"]).ended_with(0).says("note: copies of earlier checkpoints stay in s3://bucket/checkpoints\n");
    let second = copies("train");
    assert!(second.starts_with(&format!("{first}-")), "{second} after {first}");
    // Whoever goes on finds those of the same training.
    fs::remove_dir_all(setting.run_folder().join("output")).expect("removed");
    setting.run(&[]).ended_with(0);
    assert_eq!(copies("publish"), second);
    setting.run(&["--fresh"]).ended_with(0);
    let third = copies("train");
    assert!(third.starts_with(&format!("{first}-")) && third != second, "{third} after {second}");
}

#[test]
fn another_seed_is_another_run() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    setting.edit("seed: 7", "seed: 8");
    setting.run(&[]).ended_with(0).says("listings is complete");
    assert_eq!(fs::read_dir(setting.path("home/runs")).expect("runs").count(), 2);
    assert_eq!(setting.versions(), ["1", "2"]);
}

#[test]
fn changed_data_is_another_run() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    fs::write(setting.path("data/rows.jsonl"), "{\"other\": 1}\n").expect("written");
    setting.run(&[]).ended_with(0).says("listings is complete");
    assert_eq!(fs::read_dir(setting.path("home/runs")).expect("runs").count(), 2);
}

#[test]
fn the_trainer_gets_the_contracts_environment_and_no_secret() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    let environment = fs::read_to_string(setting.path("trainer/environment-train")).expect("noted");
    for part in ["GLOO_SOCKET_IFNAME=lo", "WORLD_SIZE=2", "NODE_RANK=0", "MASTER_ADDR=127.0.0.1", "TEMPER_ATTEMPT=0", "OMP_NUM_THREADS="] {
        assert!(environment.contains(part), "{part} in {environment}");
    }
    assert!(!environment.contains("SECRET"), "{environment}");
    // A port that is chosen for it could be taken by another process before it is bound.
    assert!(!environment.contains("MASTER_PORT"), "{environment}");
}

#[test]
fn a_failed_attempt_is_tried_again_from_the_checkpoint() {
    let setting = Setting::new();
    setting.misbehave("die-in-train", "");
    setting.run(&[]).ended_with(0).says("train failed").says("continuing on 2 ranks").says("from step 2 of 4");
    assert_eq!(setting.stages(), ["prepare", "train", "train", "publish"]);
}

#[test]
fn an_attempt_may_restart_in_place_as_often_as_is_left() {
    let setting = Setting::new();
    let allowed = || {
        let text = fs::read_to_string(setting.path("trainer/config-train")).expect("a configuration");
        serde_json::from_str::<temper_contract::TrainerConfig>(&text).expect("one that the trainer understands").failure.max_restarts
    };
    setting.misbehave("interrupt-in-train", "");
    setting.run(&[]).ended_with(130);
    assert_eq!(allowed(), 2);
    setting.misbehave("fail-train", "13\n");
    setting.run(&[]).ended_with(0);
    assert_eq!(allowed(), 1);
}

#[test]
fn wrong_input_is_not_tried_again() {
    let setting = Setting::new();
    setting.misbehave("fail-prepare", "10\n");
    let ran = setting.run(&[]).ended_with(3);
    assert!(ran.stderr.contains("error: listings failed (InvalidInput): made to fail in prepare; look at the test"), "{}", ran.stderr);
    assert_eq!(setting.stages(), ["prepare"]);
    // Typing the command again asks for another try.
    setting.run(&[]).ended_with(0);
}

#[test]
fn restarts_run_out() {
    let setting = Setting::new();
    setting.edit("maxRestarts: 2", "maxRestarts: 1");
    setting.misbehave("fail-train", "13\n13\n");
    let ran = setting.run(&[]).ended_with(4).says("(RestartsExhausted)").says("maxRestarts (1) is used up");
    assert!(ran.stderr.contains("logs: ROOT/home/runs/listings-DIGEST/logs"), "{}", ran.stderr);
    assert_eq!(setting.stages(), ["prepare", "train", "train"]);
    setting.run(&[]).ended_with(0);
}

#[test]
fn a_process_without_last_words_is_described_by_its_end() {
    let setting = Setting::new();
    setting.edit("maxRestarts: 2", "maxRestarts: 0");
    setting.misbehave("fail-prepare", "KILL\n");
    setting.run(&[]).ended_with(4).says("signal 9");
}

#[test]
fn ctrl_c_saves_a_checkpoint_and_the_same_command_continues() {
    let setting = Setting::new();
    setting.misbehave("interrupt-in-train", "");
    let ran = setting
        .run(&["--fresh"])
        .ended_with(130)
        .says("saving a checkpoint")
        .says("interrupted; the last checkpoint is of step 3")
        .says("the same command continues: temper run -f job.yaml --volume models=models --volume data=data\n");
    assert!(!ran.stderr.contains("failed"), "{}", ran.stderr);
    setting.run(&[]).ended_with(0).says("from step 3 of 4");
    assert_eq!(setting.stages(), ["prepare", "train", "train", "publish"]);
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let setting = Setting::new();
    setting.misbehave("deaf-in-train", "");
    setting.run(&[]).ended_with(130).says("press Ctrl-C again to stop at once").says("interrupted");
    setting.run(&[]).ended_with(0);
}

#[test]
fn a_process_of_a_killed_run_is_waited_for() {
    let setting = Setting::new();
    setting.misbehave("linger-in-train", "");
    assert_eq!(setting.run(&[]).code, None);
    setting.run(&[]).ended_with(0);
    assert_eq!(setting.stages(), ["prepare", "train", "lingered", "train", "publish"]);
}

#[test]
fn a_deadline_stops_the_processes() {
    let setting = Setting::new();
    setting.edit("spec:\n", "spec:\n  activeDeadlineSeconds: 1\n");
    setting.misbehave("hang-in-train", "");
    setting.run(&[]).ended_with(4).says("(DeadlineExceeded)");
    assert_eq!(setting.stages(), ["prepare", "train"]);
}

#[test]
fn training_that_cannot_fit_its_memory_is_refused_before_it_starts() {
    let setting = Setting::new();
    setting.edit("numProcPerNode: 2", "numProcPerNode: 2\n    resourcesPerNode: {limits: {memory: 128Mi}}");
    setting.run(&[]).ended_with(3).says("(InsufficientMemory)").says("estimated to take 0.2 GiB").says("ask for more memory");
    assert_eq!(setting.stages(), ["prepare"]);
    // The limit changes nothing that is trained: it is the same run.
    setting.edit("128Mi", "256Mi");
    setting.run(&[]).ended_with(0);
    assert_eq!(setting.stages(), ["prepare", "train", "publish"]);
}

// Files lie where folders are to be, because tests may run as root, who may write anywhere.

#[test]
fn a_home_that_is_a_file_says_what_to_do() {
    let setting = Setting::new();
    let home = ["--home", "prompts.jsonl"];
    setting.run(&home).ended_with(3).says("ROOT/prompts.jsonl").says("or choose another --home");
    let plan = ["plan", "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"];
    setting.temper(&[&plan[..], &home].concat()).ended_with(3).says("ROOT/prompts.jsonl").says("or choose another --home");
    assert!(setting.stages().is_empty());
}

#[test]
fn a_run_folder_that_cannot_be_made_says_what_to_do() {
    let setting = Setting::new();
    fs::create_dir(setting.path("home")).expect("made");
    fs::write(setting.path("home/runs"), "").expect("written");
    setting.run(&[]).ended_with(3).says("ROOT/home/runs/listings-DIGEST").says("or choose another --home");
    fs::remove_file(setting.path("home/runs")).expect("removed");
    setting.misbehave("fail-prepare", "10\n");
    setting.run(&[]).ended_with(3).says("made to fail");
    let logs = setting.run_folder().join("logs");
    fs::remove_dir_all(&logs).and_then(|()| fs::write(&logs, "")).expect("replaced");
    setting.run(&[]).ended_with(3).says("cannot make the folder ROOT/home/runs/listings-DIGEST/logs").says("or choose another --home");
    fs::remove_file(&logs).expect("removed");
    setting.run(&[]).ended_with(0);
}

#[test]
fn a_registry_that_cannot_be_written_says_what_to_do() {
    let setting = Setting::new();
    fs::create_dir(setting.path("home")).expect("made");
    fs::write(setting.path("home/registry"), "").expect("written");
    setting.run(&[]).ended_with(3).says("ROOT/home/registry").says("or choose another --home");
    setting.temper(&["generate", "--model", "registry:listings", "--prompt", "One"]).ended_with(3).says("ROOT/home/registry");
    fs::remove_file(setting.path("home/registry")).expect("removed");
    setting.run(&[]).ended_with(0);
    assert_eq!(setting.versions(), ["1"]);
    assert_eq!(setting.stages(), ["prepare", "train", "publish"], "what is done is not done again");
}

#[test]
fn a_full_disk_says_so_and_the_same_command_continues() {
    let setting = Setting::new();
    setting.misbehave("interrupt-in-train", "");
    setting.run(&[]).ended_with(130);
    // What is written aside goes through this link to a device that is always full.
    std::os::unix::fs::symlink("/dev/full", setting.run_folder().join(".state.json.tmp")).expect("linked");
    setting.run(&[]).ended_with(3).says("state.json: No space left on device").says("make room there and run the same command again");
    assert_eq!(setting.stages(), ["prepare", "train"]);
    setting.run(&[]).ended_with(0).says("from step 3 of 4");
}

#[test]
fn kill_9_at_any_stage_loses_nothing() {
    for place in ["in-prepare", "after-prepare", "in-train", "after-train", "in-publish", "after-publish"] {
        let setting = Setting::new();
        setting.misbehave(&format!("kill-parent-{place}"), "");
        assert_eq!(setting.run(&[]).code, None, "killed {place}");
        setting.run(&[]).ended_with(0);
        let stage = place.split('-').nth(1).expect("a stage");
        let calls = setting.stages().iter().filter(|call| *call == stage).count();
        assert_eq!(calls, if place.starts_with("in") { 2 } else { 1 }, "{place}: a stage that is done is not done again");
        assert_eq!(setting.versions(), ["1"], "{place}");
    }
}

#[test]
fn kill_9_at_the_executors_own_commits_loses_nothing() {
    for place in temper_cli::local::fault::ALL {
        let setting = Setting::new();
        let arguments = ["run", "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"];
        let status = setting.command(&arguments).env("TEMPER_KILL_AT", place).output().expect("started").status;
        assert_eq!(status.code(), None, "killed at {place}");
        setting.run(&[]).ended_with(0);
        assert_eq!(setting.versions(), ["1"], "{place}");
    }
}

#[test]
fn a_second_run_of_the_same_job_says_who_runs_it() {
    let setting = Setting::new();
    let binary = env!("CARGO_BIN_EXE_temper");
    let second = format!(
        "cd {root} && TEMPER_HOME={root}/home TEMPER_TRAINER={root}/trainer/temper-trainer {binary} run -f job.yaml --volume models=models --volume data=data",
        root = setting.path("").display()
    );
    setting.misbehave("second-in-train", &second);
    setting.run(&[]).ended_with(0);
    let output = fs::read_to_string(setting.path("trainer/second-output")).expect("the second ran");
    assert!(output.contains("error: process ") && output.contains("runs listings at the moment") && output.contains("exit 6"), "{output}");
}

#[test]
fn answers_are_compared_kept_and_judged() {
    let setting = Setting::new();
    let compared = ["--compare-prompts", "prompts.jsonl", "--expect", "^.+ in .+\nPrice: \\$[0-9]+$"];
    let required = ["--require", "matchesAfter>=2", "--require", "matchesBefore<=0", "--require", "perplexityDrop>=0.6"];
    let ran = setting.run(&[&compared[..], &required[..]].concat()).ended_with(0);
    insta::assert_snapshot!("compared", ran.stdout);
    let calls = setting.stages().len();
    setting.run(&[&compared[..], &["--require", "matchesAfter>2"]].concat()).ended_with(5).says("MISSED: --require matchesAfter>2: 2");
    assert_eq!(setting.stages().len(), calls, "the answers are not generated again");
    setting.run(&["--require", "matchesAfter>2"]).ended_with(2).says("--compare-prompts");
}

#[test]
fn a_model_that_was_deleted_is_published_again() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    fs::remove_dir_all(setting.run_folder().join("output")).expect("removed");
    setting.run(&[]).ended_with(0);
    assert_eq!(setting.stages(), ["prepare", "train", "publish", "publish"]);
    assert_eq!(setting.versions(), ["1"]);
}

#[test]
fn a_version_deleted_from_the_registry_is_registered_again() {
    let setting = Setting::new();
    setting.run(&[]).ended_with(0);
    fs::remove_dir_all(setting.path("home/registry/listings/1")).expect("removed");
    setting.run(&[]).ended_with(0);
    assert_eq!(setting.versions(), ["1"]);
    assert_eq!(setting.stages().len(), 3);
}
