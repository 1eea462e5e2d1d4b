//! Commands outside a job: inspect, evaluate, generate.

use crate::job::Job;
use crate::tiny_model::write_gguf;
use serde_json::Value;
use std::fs;
use std::process::Command;
use temper_contract::config::{ChatTemplate, DatasetFormat, Device, ExcessLengthStrategy, Precision};
use temper_contract::report::{EvaluationReport, Generation};
use temper_contract::request::{Compute, EvaluateRequest, GenerateRequest, InspectReport, Prompt, Sampling};

const COMPUTE: Compute = Compute { precision: Precision::Fp32, device: Device::Cpu, threads: 1 };

/// Runs a command to its end and returns the lines of its standard output.
fn lines(mut command: Command) -> Vec<Value> {
    let output = command.output().expect("the binary is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn ask(job: &Job, command: &str, request: &impl serde::Serialize) -> Vec<Value> {
    let path = job.path("request.json");
    fs::write(&path, serde_json::to_vec(request).expect("plain fields")).expect("writable");
    let mut process = Command::new(env!("CARGO_BIN_EXE_temper-trainer"));
    process.arg(command).arg("--request").arg(path);
    job.isolate(&mut process);
    lines(process)
}

fn evaluate(job: &Job, adapter: bool) -> EvaluationReport {
    let request = EvaluateRequest {
        model: job.path("model"),
        adapter: adapter.then(|| job.config.output_folder.clone()),
        data: job.path("held-out.jsonl"),
        format: DatasetFormat::PromptCompletion,
        chat_template: ChatTemplate::TokenizerDefault,
        max_length: 64,
        excess_length_strategy: ExcessLengthStrategy::Truncate,
        batch_size: 2,
        compute: COMPUTE,
    };
    serde_json::from_value(ask(job, "evaluate", &request).remove(0)).expect("the contract's report")
}

#[test]
fn evaluating_outside_the_job_gives_the_jobs_own_numbers() {
    let job = Job::new();
    job.complete();
    let validation = job.train_report().validation.expect("there are held-out rows");
    for (adapter, expected) in [(false, validation.before), (true, validation.after)] {
        let report = evaluate(&job, adapter);
        assert!((report.loss - expected).abs() / expected < 1e-5, "{report:?}, {expected}");
        assert!((report.perplexity - report.loss.exp()).abs() < 1e-9 && report.examples == 9, "{report:?}");
    }
}

#[test]
fn each_prompt_gets_one_line() {
    let job = Job::new();
    let request = |sampling| GenerateRequest {
        model: job.path("model"),
        adapter: None,
        prompts: vec![Prompt::Text("w5 w6 w7".to_owned()), Prompt::Text("w9".to_owned())],
        chat_template: ChatTemplate::TokenizerDefault,
        sampling,
        max_new_tokens: 5,
        compute: COMPUTE,
    };
    let ask = |sampling| -> Vec<Generation> {
        let answers = ask(&job, "generate", &request(sampling));
        answers.into_iter().map(|answer| serde_json::from_value(answer).expect("the contract's report")).collect()
    };
    let greedy = ask(Sampling::GREEDY);
    assert_eq!(
        greedy.iter().map(|answer| (answer.prompt.as_str(), answer.prompt_tokens)).collect::<Vec<_>>(),
        [("w5 w6 w7", 3), ("w9", 1)]
    );
    assert!(greedy.iter().all(|answer| answer.token_ids.len() == 5 || answer.finish_reason == "stop"));
    assert_eq!(greedy, ask(Sampling::GREEDY));
    let sampled = |seed| ask(Sampling { temperature: 2.0, top_k: None, top_p: None, seed });
    assert_eq!(sampled(1), sampled(1));
    assert_ne!(sampled(1), sampled(2));
}

fn inspect(job: &Job) -> InspectReport {
    serde_json::from_value(lines(job.command("inspect")).remove(0)).expect("the contract's report")
}

#[test]
fn inspection_counts_what_would_be_trained() {
    let report = inspect(&Job::new());
    assert_eq!(report.problems, []);
    let model = report.model.expect("it can be read");
    // r (in + out) of each of seven modules, twice: q, o 32+32; k, v 32+16; gate, up, down 32+48.
    assert_eq!((model.adapted_modules, model.parameters.trainable), (14, 2 * 4 * (2 * 64 + 2 * 48 + 3 * 80)));
    assert_eq!(report.dataset.expect("it is there").files, 1);
}

#[test]
fn inspection_finds_a_rope_that_a_whole_model_cannot_say() {
    let job = Job::new();
    let path = job.path("odd.gguf");
    write_gguf(&path, &[1.0, 3.0]);
    let mut job = job.with(|config| config.base_model.path = path);
    for (merge_adapter, found) in [(true, 1), (false, 0)] {
        job.config.output.merge_adapter = merge_adapter;
        let problems = inspect(&job).problems;
        let of_rope = problems.iter().filter(|problem| problem.message.contains("rope_freqs.weight is [1.0, 3.0]")).count();
        assert_eq!(of_rope, found, "{problems:?}");
    }
}

#[test]
fn inspection_lists_all_problems_at_once() {
    let job = Job::new().with(|config| {
        let temper_contract::config::Method::Lora(lora) = &mut config.method else { unreachable!() };
        lora.target_modules = vec!["q_prj".to_owned()];
        config.dataset.path = "/nowhere/rows.jsonl".into();
        config.dataset.filters.include_pattern = Some("(".to_owned());
        config.dataset.format = DatasetFormat::Messages;
    });
    let fields: Vec<String> = inspect(&job).problems.into_iter().map(|problem| problem.field).collect();
    for field in ["spec.method.lora.targetModules", "spec.dataset.storageUri", "spec.dataset.filters", "spec.dataset.chatTemplate"] {
        assert!(fields.iter().any(|found| found == field), "{field} in {fields:?}");
    }
}
