//! Writes what a job's optimizer steps see, so that another library can be fed exactly the same: the initial adapter as a PEFT folder
//! and the micro-batches of every step.

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use temper_artifact::ModelSource;
use temper_contract::config::{Method, Precision, TrainerConfig};
use temper_contract::layout;
use temper_data::TokenCache;
use temper_data::sampler::Plan;
use temper_model::Model;

/// Reads a prepared job; writes `initial-adapter/` (for LoRA) and `batches.jsonl`, one optimizer step a line.
#[derive(Parser)]
struct Arguments {
    /// The job's trainer configuration; `temper-trainer prepare` must have run on it.
    #[arg(long)]
    config: PathBuf,
    /// Folder to write to.
    #[arg(long)]
    output: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let text = fs::read(&arguments.config).with_context(|| format!("cannot read {}", arguments.config.display()))?;
    let config: TrainerConfig =
        serde_json::from_slice(&text).with_context(|| format!("{} is no trainer configuration", arguments.config.display()))?;
    write_batches(&config, &arguments.output.join("batches.jsonl"))?;
    if matches!(config.method, Method::Lora(_)) {
        write_initial_adapter(&config, &arguments.output.join("initial-adapter"))?;
    }
    Ok(())
}

fn write_initial_adapter(config: &TrainerConfig, folder: &Path) -> Result<()> {
    let source = ModelSource::open(&config.base_model.path)?;
    let model = Model::load(&source, &config.method, Precision::Fp32, tch::Device::Cpu, config.hyperparameters.seed)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    temper_model::save::adapter(&model, folder, &config.base_model.path.to_string_lossy(), None)?;
    Ok(())
}

fn write_batches(config: &TrainerConfig, path: &Path) -> Result<()> {
    let cache = TokenCache::open(&config.run_folder.join(layout::TRAIN_CACHE))?;
    let hyperparameters = &config.hyperparameters;
    let plan = Plan::new(
        hyperparameters.seed,
        cache.len(),
        hyperparameters.per_device_train_batch_size,
        config.parallelism.micro_batches_per_step,
        hyperparameters.num_train_epochs,
        hyperparameters.max_steps,
    );
    let mut sink = BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?);
    for step in 0..plan.total_steps() {
        let micro_batches: Vec<Value> = plan.step(step).micro_batches.iter().map(|examples| rows(&cache, examples)).collect();
        writeln!(sink, "{}", json!({ "micro_batches": micro_batches }))?;
    }
    sink.flush().with_context(|| format!("cannot write {}", path.display()))
}

/// The sequences of a micro-batch, each with its ids and which of them are targets.
fn rows(cache: &TokenCache, examples: &[usize]) -> Value {
    let segments = examples.iter().flat_map(|&example| cache.example(example).segments());
    segments.map(|segment| json!({ "ids": segment.ids, "targets": segment.targets })).collect()
}
