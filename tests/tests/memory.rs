//! The memory that a rank is estimated to take, beside what it takes, and the most that publishing may take.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use temper_artifact::memory::{Bf16, PROCESS};
use temper_artifact::processor;
use temper_contract::config::Device;
use temper_contract::{env, layout};
use temper_tests::binaries::binary;
use temper_tests::job::{Job, json_lines};
use temper_tests::random_model::{Shape, write_model};
use temper_tests::reference;

/// Of the estimate; the operator refuses what is beyond it.
const TOLERANCE: f64 = 0.15;

/// Rows of random words, each longer than any `maxLength` here: every row is cut to it, so that micro-batches are as full as can be.
fn write_rows(path: &Path, word: impl Fn(usize) -> String) {
    let row =
        |row: usize| json!({"text": (0..600).map(|place| word(row * 7919 + place * 104_729)).collect::<Vec<_>>().join(" ")}).to_string();
    std::fs::write(path, (0..40).map(row).collect::<Vec<_>>().join("\n")).unwrap();
}

/// Runs two steps of a job. `rows` of `length` tokens are a micro-batch.
fn train(model: &Path, data: &Path, [rows, length]: [usize; 2], change: impl Fn(&mut Value)) -> Job {
    let mut job = Job::lora(model, data);
    job.config["dataset"]["format"] = json!("text");
    job.config["dataset"]["maxLength"] = json!(length);
    job.config["hyperparameters"]["maxSteps"] = json!(2);
    job.config["hyperparameters"]["perDeviceTrainBatchSize"] = json!(rows);
    job.config["evaluation"]["perDeviceEvalBatchSize"] = json!(rows);
    job.config["parallelism"]["microBatchesPerStep"] = json!(1);
    change(&mut job.config);
    job.stage("prepare");
    job.stage("train");
    job
}

/// A report of a job's stage.
fn report(job: &Job, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(job.run_folder().join(file)).unwrap()).unwrap()
}

/// Runs two steps of a job and compares. `rows` of `length` tokens are a micro-batch.
fn compare(name: &str, model: &Path, data: &Path, [rows, length]: [usize; 2], change: impl Fn(&mut Value)) {
    let job = train(model, data, [rows, length], change);
    let number = |file: &str, field: &str| report(&job, file)[field].as_f64().unwrap();
    let estimate = number(layout::PREPARE_REPORT, "memoryEstimateBytes");
    let measured = number(layout::TRAIN_REPORT, "peakMemoryBytes");
    let (ratio, mebibyte) = (estimate / measured, f64::from(1 << 20));
    let case = format!("{name}, {rows} x {length}: estimated {:.0} MiB, measured {:.0} MiB", estimate / mebibyte, measured / mebibyte);
    println!("{case}, ratio {ratio:.3}");
    assert!((ratio - 1.0).abs() <= TOLERANCE, "{case}");
}

#[test]
fn adapters_on_a_real_model() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.jsonl");
    const WORDS: [&str; 8] = ["river", "lamp", "stone", "and", "the", "quiet", "harbor", "opens"];
    write_rows(&data, |number| WORDS[number % WORDS.len()].to_owned());
    for precision in ["fp32", "bf16"] {
        for batch in [[1, 128], [4, 256]] {
            compare(&format!("SmolLM2, LoRA, {precision}"), &reference::smollm2(), &data, batch, |config| {
                config["hyperparameters"]["precision"] = json!(precision);
                config["method"]["lora"]["r"] = json!(16);
            });
        }
    }
}

#[test]
fn adapters_and_full_fine_tuning_of_random_models() {
    let untied =
        Shape { hidden_size: 512, intermediate_size: 1536, layers: 8, heads: 8, key_value_heads: 4, vocabulary: 16_384, tied: false };
    let tied = Shape { hidden_size: 768, intermediate_size: 2048, layers: 6, heads: 12, key_value_heads: 12, vocabulary: 8192, tied: true };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("rows.jsonl");
    write_rows(&data, |number| format!("w{}", 2 + number % 8000));
    for (name, shape) in [("untied", untied), ("tied", tied)] {
        let model = folder.path().join(name);
        write_model(&model, shape);
        for method in ["lora", "full"] {
            for precision in ["fp32", "bf16"] {
                for batch in [[1, 64], [4, 256]] {
                    compare(&format!("{name}, {method}, {precision}"), &model, &data, batch, |config| {
                        config["hyperparameters"]["precision"] = json!(precision);
                        if method == "full" {
                            config["method"] = json!("full");
                        }
                    });
                }
            }
        }
    }
}

#[test]
fn what_else_takes_memory_is_counted() {
    let shape =
        Shape { hidden_size: 512, intermediate_size: 1536, layers: 8, heads: 8, key_value_heads: 4, vocabulary: 16_384, tied: false };
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path().join("rows.jsonl"), folder.path().join("model"));
    write_rows(&data, |number| format!("w{}", 2 + number % 8000));
    write_model(&model, shape);
    compare("evaluation of large batches", &model, &data, [4, 256], |config| {
        config["dataset"]["validation"] = json!({"split": 0.4});
        config["evaluation"]["perDeviceEvalBatchSize"] = json!(8);
    });
    compare("dropout", &model, &data, [4, 256], |config| config["method"]["lora"]["loraDropout"] = json!(0.1));
    compare("two ranks", &model, &data, [4, 256], |config| {
        config["method"] = json!("full");
        config["parallelism"]["numProcPerNode"] = json!(2);
        config["parallelism"]["microBatchesPerStep"] = json!(2);
    });
}

/// The most memory that publishing a trained job takes, in bytes, as its log says.
fn peak_of_publish(job: &Job) -> f64 {
    let mut publish = Command::new(binary("temper-trainer"));
    publish.arg("publish").arg("--config").arg(job.write()).env(env::LOG_FORMAT, "json").env("RUST_LOG", "info");
    let output = publish.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    json_lines(&log).iter().find_map(|line| line["peak_memory_bytes"].as_f64()).unwrap_or_else(|| panic!("no peak in\n{log}"))
}

#[test]
fn publishing_holds_the_model_once_without_gradients_and_moments() {
    let shape =
        Shape { hidden_size: 512, intermediate_size: 1536, layers: 8, heads: 8, key_value_heads: 4, vocabulary: 16_384, tied: false };
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path().join("rows.jsonl"), folder.path().join("model"));
    write_rows(&data, |number| format!("w{}", 2 + number % 8000));
    write_model(&model, shape);
    for (name, is_full, is_merged) in [("full", true, false), ("LoRA, merged", false, true), ("LoRA", false, false)] {
        let job = train(&model, &data, [1, 64], |config| {
            config["output"]["mergeAdapter"] = json!(is_merged);
            if is_full {
                config["method"] = json!("full");
            }
        });
        let parameters = report(&job, layout::PREPARE_REPORT)["parameters"]["total"].as_f64().unwrap();
        // In memory, and in the mapped file, which is of fp32 here; the embedding twice more while it is read; the process itself.
        let embedding = (shape.vocabulary * shape.hidden_size) as f64;
        let most = (8.0 * parameters + 8.0 * embedding + PROCESS as f64) * (1.0 + TOLERANCE);
        let (measured, mebibyte) = (peak_of_publish(&job), f64::from(1 << 20));
        let case = format!("publishing, {name}: at most {:.0} MiB, measured {:.0} MiB", most / mebibyte, measured / mebibyte);
        println!("{case}");
        assert!(measured > 4.0 * parameters && measured <= most, "{case}");
    }
}

#[test]
fn the_estimate_knows_what_the_model_does_with_bf16_here() {
    let widens = processor::bf16(Device::Cpu) == Bf16::Widened;
    assert_eq!(temper_model::widens_bf16(tch::Device::Cpu), widens);
}
