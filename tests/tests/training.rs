//! Whole training runs beside transformers + PEFT: the same initial weights, the same micro-batches, fp32.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use serde_json::Value;
use std::path::{Path, PathBuf};
use temper_tests::job::{Job, json_lines, write_rows};
use temper_tests::reference;
use temper_tests::tensors::{read, relative_difference};

/// Relative difference that 30 steps of fp32 may add up to.
const TOLERANCE: f64 = 1e-3;

fn rows(folder: &Path) -> PathBuf {
    let path = folder.join("rows.jsonl");
    write_rows(&path, 100);
    path
}

/// Trains `job` on our side and the same steps on theirs, and compares every step and the end.
fn compare(job: &Job, model: &Path, lora: bool) {
    job.stage("prepare");
    job.write_inputs();
    job.stage("train");
    job.stage("publish");
    let hyperparameters = &job.config["hyperparameters"];
    let text = |name: &str| hyperparameters[name].to_string();
    let path = |name: &str| job.folder().join(name).display().to_string();
    let mut arguments = ["--model", &model.display().to_string(), "--batches", &path("batches.jsonl"), "--save", &path("theirs")]
        .map(String::from)
        .to_vec();
    arguments.extend(["--scheduler", "cosine", "--threads", "1", "--warmup-steps", &text("warmupSteps")].map(String::from));
    arguments.extend(["--learning-rate", &text("learningRate"), "--weight-decay", &text("weightDecay")].map(String::from));
    arguments.extend(["--max-grad-norm", &text("maxGradNorm")].map(String::from));
    if lora {
        arguments.extend(["--adapter".to_owned(), path("initial-adapter")]);
    }
    let theirs = json_lines(&reference::run("train_sft.py", &arguments));
    let (end, theirs) = theirs.split_last().unwrap();
    let ours = job.steps();
    assert_eq!((ours.len(), theirs.len()), (30, 30));
    for (ours, theirs) in ours.iter().zip(theirs) {
        for (our_name, their_name) in
            [("trainingLoss", "training_loss"), ("gradientNorm", "gradient_norm"), ("learningRate", "learning_rate")]
        {
            close(&ours[our_name], &theirs[their_name], &format!("{our_name} of step {}", ours["step"]));
        }
        assert_eq!(ours["tokens"], theirs["tokens"]);
    }
    let first = ours[0]["trainingLoss"].as_f64().unwrap();
    assert!(ours[29]["trainingLoss"].as_f64().unwrap() < 0.9 * first, "the loss fell");
    let norm = published_norm(&job.run_folder().join("output"), lora);
    close(&norm.into(), &end["trained_norm"], "norm of the trained parameters");
}

fn close(a: &Value, b: &Value, what: &str) {
    let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
    assert!((a - b).abs() <= TOLERANCE * b.abs(), "{what}: {a} and {b}");
}

/// Norm over every tensor of the published file.
fn published_norm(folder: &Path, lora: bool) -> f64 {
    let bytes = std::fs::read(folder.join(if lora { "adapter_model.safetensors" } else { "model.safetensors" })).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values = file.tensors().into_iter().flat_map(|(_, tensor)| {
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
        tensor.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect::<Vec<_>>()
    });
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Loads what we published with the reference libraries and compares logits with ours.
fn published_folder_loads(job: &Job, model: &Path) {
    let output = Path::new(job.config["outputFolder"].as_str().unwrap());
    let ids = [5i64, 90, 120, 33, 7, 200, 151, 64, 99];
    let theirs = job.folder().join("theirs.safetensors");
    let json = serde_json::to_string(&ids).unwrap();
    reference::run("peft_logits.py", [model.as_os_str(), output.as_os_str(), json.as_ref(), theirs.as_os_str()]);
    let lora = output.join("adapter_config.json").is_file();
    let source = temper_artifact::ModelSource::open(if lora { model } else { output }).unwrap();
    let precision = temper_contract::config::Precision::Fp32;
    let mut ours = temper_model::Model::load_frozen(&source, lora.then_some(output), precision, tch::Device::Cpu).unwrap();
    let ours = Vec::<f32>::try_from(ours.logits(&ids).unwrap().contiguous().view(-1)).unwrap();
    let difference = relative_difference(&ours, &read(&theirs, "logits"));
    assert!(difference <= 1e-4, "logits differ by {difference:e} of the largest");
}

#[test]
fn lora_agrees_with_peft_and_its_adapter_loads_there() {
    let model = reference::models().join("llama");
    let folder = tempfile::tempdir().unwrap();
    let job = Job::lora(&model, &rows(folder.path()));
    compare(&job, &model, true);
    published_folder_loads(&job, &model);
}

#[test]
fn lora_with_biases_norms_and_windows_agrees_with_peft() {
    for name in ["llama-rope3", "qwen2-window", "qwen3"] {
        let model = reference::models().join(name);
        let folder = tempfile::tempdir().unwrap();
        compare(&Job::lora(&model, &rows(folder.path())), &model, true);
    }
}

/// The first name selects a module of one layer only.
#[test]
fn rank_stabilised_lora_on_named_modules_agrees_with_peft_and_its_adapter_loads_there() {
    let model = reference::models().join("qwen2");
    let folder = tempfile::tempdir().unwrap();
    let mut job = Job::lora(&model, &rows(folder.path()));
    let names = ["1.mlp.down_proj", "q_proj", "v_proj"];
    job.config["method"]["lora"]["targetModules"] = Value::from(names.as_slice());
    job.config["method"]["lora"]["useRslora"] = Value::from(true);
    compare(&job, &model, true);
    published_folder_loads(&job, &model);
    let text = std::fs::read_to_string(job.run_folder().join("output/adapter_config.json")).unwrap();
    let published: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&published["use_rslora"], &published["target_modules"]), (&Value::from(true), &Value::from(names.as_slice())));
}

/// An epoch of 34 micro-batches, the last of them short, leaves one for its last step, which then is divided by fewer target tokens.
#[test]
fn a_step_of_what_an_epoch_leaves_over_agrees_with_peft() {
    let model = reference::models().join("llama");
    let folder = tempfile::tempdir().unwrap();
    let mut job = Job::lora(&model, &rows(folder.path()));
    job.config["parallelism"]["microBatchesPerStep"] = Value::from(3);
    compare(&job, &model, true);
    let steps = json_lines(&std::fs::read_to_string(job.folder().join("batches.jsonl")).unwrap());
    let micro_batches: Vec<usize> = steps.iter().map(|step| step["micro_batches"].as_array().unwrap().len()).collect();
    assert_eq!((micro_batches[10], micro_batches[11], micro_batches[12]), (3, 1, 3), "{micro_batches:?}");
}

/// Theirs gets each sequence of a packed row as a row of its own. The model's window is shorter than the sequences, so what a token sees
/// ends at its window or where its sequence begins, whichever is nearer.
#[test]
fn packed_rows_train_as_their_sequences_do_in_peft() {
    let model = reference::models().join("mistral");
    let folder = tempfile::tempdir().unwrap();
    let mut job = Job::lora(&model, &rows(folder.path()));
    job.config["dataset"]["packing"] = Value::from(true);
    job.config["dataset"]["maxLength"] = Value::from(192);
    compare(&job, &model, true);
    let steps = json_lines(&std::fs::read_to_string(job.folder().join("batches.jsonl")).unwrap());
    let micro_batches = steps.iter().flat_map(|step| step["micro_batches"].as_array().unwrap());
    let sequences: Vec<usize> = micro_batches.map(|rows| rows.as_array().unwrap().len()).collect();
    let packed = sequences.iter().filter(|&&sequences| sequences > 3).count();
    assert!(2 * packed > sequences.len(), "most micro-batches of three rows hold more sequences than that: {sequences:?}");
}

#[test]
fn full_fine_tuning_agrees_with_transformers_and_its_model_loads_there() {
    for name in ["llama", "llama-rope3", "qwen2", "qwen3"] {
        let model = reference::models().join(name);
        let folder = tempfile::tempdir().unwrap();
        let job = Job::full(&model, &rows(folder.path()));
        compare(&job, &model, false);
        published_folder_loads(&job, &model);
    }
}

#[test]
fn a_merged_adapter_is_a_whole_model_for_transformers() {
    let model = reference::models().join("qwen3");
    let folder = tempfile::tempdir().unwrap();
    let mut job = Job::lora(&model, &rows(folder.path()));
    job.config["output"]["mergeAdapter"] = Value::from(true);
    for stage in ["prepare", "train", "publish"] {
        job.stage(stage);
    }
    let output = job.run_folder().join("output");
    assert!(output.join("config.json").is_file() && !output.join("adapter_config.json").exists());
    published_folder_loads(&job, &model);
}

#[test]
fn an_adapter_of_a_gguf_base_loads_in_peft_and_merged_in_transformers_with_its_tokenizer() {
    let (folder, model) = (tempfile::tempdir().unwrap(), reference::smollm2());
    let mut job = Job::lora(&model, &rows(folder.path()));
    job.config["hyperparameters"]["maxSteps"] = Value::from(2);
    job.config["hyperparameters"]["warmupSteps"] = Value::from(0);
    for stage in ["prepare", "train", "publish"] {
        job.stage(stage);
    }
    published_folder_loads(&job, &model);

    // What was trained, published anew: as long as its report is there, publishing is done.
    std::fs::remove_file(job.run_folder().join(temper_contract::layout::PUBLISH_REPORT)).unwrap();
    let merged = job.folder().join("merged");
    job.config["output"]["mergeAdapter"] = Value::from(true);
    job.config["outputFolder"] = Value::from(merged.to_str().unwrap());
    job.stage("publish");
    assert!(merged.join("config.json").is_file() && !merged.join("adapter_config.json").exists());
    published_folder_loads(&job, &model);
    let text = "A quiet harbor opens at dawn: 3 rooms, 1.5 baths.\n";
    let texts = job.folder().join("texts.json");
    std::fs::write(&texts, serde_json::to_string(&[text]).unwrap()).unwrap();
    let printed = reference::run("token_ids.py", [merged, texts]);
    let theirs: Vec<Vec<u32>> = serde_json::from_str(printed.trim()).unwrap();
    let base = temper_artifact::ModelSource::open(&model).unwrap();
    let ours = temper_data::Tokenizer::open(&base.tokenizer().unwrap()).unwrap().encode(text, false).unwrap();
    assert_eq!(theirs, [ours]);
}

#[test]
fn a_peft_adapter_loads_in_ours() {
    let model = reference::models().join("qwen2");
    let folder = tempfile::tempdir().unwrap();
    let adapter = folder.path().join("adapter");
    let printed = reference::run("make_adapter.py", [model.as_os_str(), adapter.as_os_str()]);
    let ids = "[5, 90, 120, 33, 7, 200]";
    let theirs = folder.path().join("theirs.safetensors");
    reference::run("peft_logits.py", [model.as_os_str(), adapter.as_os_str(), ids.as_ref(), theirs.as_os_str()]);

    let source = temper_artifact::ModelSource::open(&model).unwrap();
    let precision = temper_contract::config::Precision::Fp32;
    let mut ours = temper_model::Model::load_frozen(&source, Some(&adapter), precision, tch::Device::Cpu).unwrap();
    let logits = Vec::<f32>::try_from(ours.logits(&[5, 90, 120, 33, 7, 200]).unwrap().contiguous().view(-1)).unwrap();
    let difference = relative_difference(&logits, &read(&theirs, "logits"));
    assert!(difference <= 1e-4, "logits differ by {difference:e} of the largest");

    let counts = json_lines(&printed).pop().unwrap();
    let method = temper_contract::config::Method::Lora(temper_contract::config::Lora {
        r: 4,
        lora_alpha: 12.0,
        lora_dropout: 0.0,
        target_modules: ["q_proj", "v_proj", "down_proj"].map(String::from).to_vec(),
        use_rslora: true,
    });
    let ours = temper_artifact::parameters::count(source.config(), &method).unwrap();
    assert_eq!((ours.trainable, ours.total), (counts["trainable"].as_u64().unwrap(), counts["total"].as_u64().unwrap()));
}
