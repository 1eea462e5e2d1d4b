//! Mistakes and shortages that end a stage with a message: what, where, and what to do next.

use crate::job::{Job, Outcome, Running};
use crate::tiny_model::{write_gguf, write_rows};
use std::fs;
use std::net::TcpListener;
use std::process::Command;
use temper_contract::{ExitCode, env};

/// Runs a stage that must fail, and checks that its termination message has these words.
fn must_fail(job: &Job, stage: &str, code: ExitCode, words: &[&str]) {
    let outcome = job.run(stage);
    outcome.expect(code);
    let message = job.termination();
    assert_eq!(message.reason, code);
    let text = format!("{} | {}", message.message, message.next_step);
    for word in words {
        assert!(text.contains(word), "{word:?} in {text}");
    }
}

#[test]
fn stages_out_of_order_say_which_is_missing() {
    let job = Job::new();
    must_fail(&job, "train", ExitCode::InvalidInput, &["prepare-report.json", "run temper-trainer prepare first"]);
    job.must("prepare");
    must_fail(&job, "publish", ExitCode::InvalidInput, &["train-report.json", "run temper-trainer train first"]);
}

#[test]
fn tokens_that_the_report_is_not_about_are_not_trained_on() {
    let mut job = Job::new();
    job.must("prepare");
    write_rows(&job.path("rows.jsonl"), 41, None);
    job.variable(env::KILL_AT, "prepare.report");
    assert_eq!(job.run("prepare").code(), -9);
    job.variables.clear();
    must_fail(&job, "train", ExitCode::InvalidInput, &["prepare-report.json", "run temper-trainer prepare again"]);
    job.must("prepare");
    job.must("train");
}

#[test]
fn a_rope_that_a_whole_model_cannot_say_is_found_before_training() {
    let job = Job::new();
    let path = job.path("odd.gguf");
    write_gguf(&path, &[1.0, 3.0]);
    let job = job.with(|config| {
        config.base_model.path = path;
        config.output.merge_adapter = true;
    });
    let words = ["odd.gguf", "rope_freqs.weight is [1.0, 3.0]", "mergeAdapter: false"];
    must_fail(&job, "prepare", ExitCode::InvalidInput, &words);
    let job = job.with(|config| config.method = temper_contract::config::Method::Full);
    must_fail(&job, "prepare", ExitCode::InvalidInput, &words);
}

#[test]
fn a_taken_store_port_is_named() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let mut job = Job::new().ranks(2);
    job.must("prepare");
    job.variable(env::MASTER_PORT, &port);
    must_fail(&job, "train", ExitCode::Unexpected, &[&port, "MASTER_PORT"]);
}

#[test]
fn a_taken_metrics_port_is_named() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port().to_string();
    let mut job = Job::new();
    job.must("prepare");
    job.variable(env::METRICS_PORT, &port);
    must_fail(&job, "train", ExitCode::InvalidInput, &[&port, env::METRICS_PORT]);
}

#[test]
fn an_unknown_target_module_is_found_by_every_stage() {
    let job = Job::new().with(|config| {
        let temper_contract::config::Method::Lora(lora) = &mut config.method else { unreachable!() };
        lora.target_modules = vec!["q_prj".to_owned()];
    });
    must_fail(&job, "prepare", ExitCode::InvalidInput, &["targetModules", "q_prj", "q_proj"]);
}

#[test]
fn a_model_that_others_train_with_dropout_of_attention_is_not_trained_without() {
    let job = Job::new();
    let path = job.config.base_model.path.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
    config["attention_dropout"] = serde_json::json!(0.1);
    fs::write(&path, config.to_string()).expect("writable");
    must_fail(&job, "prepare", ExitCode::InvalidInput, &["config.json", "attention_dropout is 0.1", "set it to 0"]);
}

#[test]
fn a_configuration_that_is_not_json_is_named() {
    let job = Job::new();
    let mut command = job.command("train");
    fs::write(job.path("config.json"), "{").expect("writable");
    let outcome = Running::start(std::mem::replace(&mut command, Command::new("true"))).finish();
    outcome.expect(ExitCode::InvalidInput);
    assert!(job.termination().message.contains("config.json"));
}

#[test]
fn a_full_disk_keeps_the_previous_checkpoint() {
    let reference = Job::new().with(big_adapter);
    reference.complete();
    let mut job = Job::new().with(big_adapter);
    job.must("prepare");
    job.variable(env::KILL_AT, "group:train.step_logged@4");
    assert_eq!(job.run("train").code(), -9);
    job.variables.clear();

    let outcome = on_a_full_disk(&job, "train");
    outcome.expect(ExitCode::Storage);
    let message = job.termination();
    assert!(message.message.contains("weights.safetensors") && message.next_step.contains("make room"), "{message:?}");
    assert_eq!(job.checkpoints(0).len(), 1, "step 3's is there");
    let attempt = job.config.checkpoint_folder.join("attempt-0");
    assert_eq!(fs::read_dir(attempt).expect("there").count(), 1, "nothing half-written takes up room");

    job.must("train");
    job.must("publish");
    assert_eq!(job.adapter(), reference.adapter());
}

#[test]
fn a_full_disk_while_publishing_is_no_fault_of_the_job() {
    let job = Job::new().with(big_adapter);
    job.must("prepare");
    job.must("train");
    let outcome = on_a_full_disk(&job, "publish");
    outcome.expect(ExitCode::Storage);
    let message = job.termination();
    assert!(message.message.contains("adapter_model.safetensors") && message.next_step.contains("make room"), "{message:?}");
    assert!(!job.path(".tmp-output").exists(), "nothing half-written takes up room");
    job.must("publish");
}

/// Runs a stage where writes beyond 16 KiB fail, as on a full disk: room for logs and manifests, not for weights.
fn on_a_full_disk(job: &Job, stage: &str) -> Outcome {
    let stage = job.command(stage);
    let mut limited = Command::new("bash");
    limited.arg("-c").arg(r#"trap '' XFSZ; ulimit -f 16; exec "$@""#).arg("bash").arg(stage.get_program()).args(stage.get_args());
    job.isolate(&mut limited);
    Running::start(limited).finish()
}

fn big_adapter(config: &mut temper_contract::TrainerConfig) {
    let temper_contract::config::Method::Lora(lora) = &mut config.method else { unreachable!() };
    lora.r = 16;
}

#[test]
fn an_output_folder_that_is_somebodys_is_left_alone() {
    let job = Job::new();
    job.must("prepare");
    job.must("train");
    fs::create_dir(&job.config.output_folder).expect("writable");
    fs::write(job.config.output_folder.join("thesis.tex"), "x").expect("writable");
    must_fail(&job, "publish", ExitCode::InvalidInput, &["output", "spec.output.storageUri"]);
    assert!(job.config.output_folder.join("thesis.tex").is_file());
}
