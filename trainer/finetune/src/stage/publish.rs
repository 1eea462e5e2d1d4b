//! `publish`: the finished model, written aside, loaded again, compared, hashed, and then given its name.
//!
//! Memory, in bytes: the model and what is loaded again are there one after the other, each `4 (P + S)` for P parameters of the base and S
//! of the adapters, all of them in fp32. Beside it are the mapped files that it is read from, at most `4 P`, which the system takes back
//! where memory is scarce; the largest tensor two more times, `8 V H` for an embedding of V rows of H; and
//! [`temper_artifact::memory::PROCESS`]. There are neither gradients nor moments. `tests/tests/memory.rs` holds it to that.

mod swap;

use super::base_name::BaseName;
use super::output;
use crate::checkpoint::{self, CheckpointStore};
use crate::compute;
use crate::durable::{read_json, sync_folder, write_json};
use crate::events::emit;
use crate::failure::{Failure, Result};
use crate::kill_point::{self, kill_point};
use crate::process_memory::peak_resident_bytes;
use crate::transfer;
use std::fs::{self, File};
use std::path::Path;
use tch::{Device, Tensor};
use temper_artifact::{ModelSource, TokenizerSource, digest};
use temper_contract::config::Precision;
use temper_contract::report::{ArtifactFormat, PublishReport, TrainReport};
use temper_contract::{Event, ExitCode, TrainerConfig, layout};
use temper_model::{Model, save};

/// Publishes the final checkpoint. A model that is published already is left as it is.
pub(crate) fn run(config: &TrainerConfig) -> Result<()> {
    let report_path = config.run_folder.join(layout::PUBLISH_REPORT);
    let trained = trained(config)?;
    if let Some(report) = read_json::<PublishReport>(&report_path)?
        && digest::folder(Path::new(&report.path)).is_ok_and(|digest| digest == report.digest)
    {
        emit(&Event::Finished { step: trained.step, reason: "complete".to_owned() });
        return Ok(());
    }
    // Publishing happens once and small numbers count: in fp32, on the CPU.
    compute::set_threads(config.parallelism.threads_per_proc)?;
    let source = ModelSource::open(&config.base_model.path)?;
    checkpoint::restore(config)?;
    let model = load_trained(config, &source, &trained)?;
    let format = output::format(config);
    let aside = swap::begin(&config.output_folder)?;
    let published =
        write_checked(config, source, model, format, &aside).and_then(|()| commit(&aside, config, format)).inspect_err(|_| {
            // Give the room back; the failure that is reported is the first one.
            let _ = fs::remove_dir_all(&aside);
        })?;
    transfer::upload_output(config, &trained, Path::new(&published.path))?;
    kill_point(kill_point::PUBLISH_REPORT);
    write_json(&report_path, &published)?;
    emit(&Event::Finished { step: trained.step, reason: "complete".to_owned() });
    Ok(())
}

fn trained(config: &TrainerConfig) -> Result<TrainReport> {
    let path = config.run_folder.join(layout::TRAIN_REPORT);
    read_json(&path)?
        .ok_or_else(|| Failure::invalid(format!("{} is missing: training is not done", path.display()), "run temper-trainer train first"))
}

/// The base model with the final checkpoint's values.
fn load_trained(config: &TrainerConfig, source: &ModelSource, trained: &TrainReport) -> Result<Model> {
    let mut model = Model::load_to_receive(source, &config.method, Device::Cpu)?;
    let found = CheckpointStore::newest(&config.checkpoint_folder)?;
    if let Some(found) = &found {
        let parameters = model.trainable();
        found.load_weights(parameters.parameters(), &parameters.master)?;
    }
    if found.as_ref().map(|found| found.state.step) != Some(trained.step) {
        let newest = found.map_or("there is none".to_owned(), |found| {
            format!("the newest whole one is of step {}: {}", found.state.step, found.folder.display())
        });
        return Err(Failure::new(
            ExitCode::Storage,
            format!("the final checkpoint of step {} cannot be used: {newest}", trained.step),
            format!("remove {} and run again: training goes on from the newest whole checkpoint", layout::TRAIN_REPORT),
        ));
    }
    model.sync_compute_weights();
    Ok(model)
}

/// Writes the model into the folder, loads it from there, and compares.
fn write_checked(config: &TrainerConfig, source: ModelSource, mut model: Model, format: ArtifactFormat, folder: &Path) -> Result<()> {
    let expected = logits(&mut model)?;
    match format {
        ArtifactFormat::PeftAdapter => {
            let base = BaseName::of(&config.base_model);
            save::adapter(&model, folder, &base.name, base.revision.as_deref())?;
        }
        ArtifactFormat::HuggingFace => {
            save::full(&model, &source, folder)?;
            // A Hugging Face base's own files came along; a GGUF base has its tokenizer inside.
            if let TokenizerSource::Gguf(tokenizer) = source.tokenizer()? {
                temper_data::write_tokenizer_files(&tokenizer, folder)?;
            }
        }
    }
    // What is loaded next takes as much memory as the model: both together may be more than there is.
    drop(model);
    drop(source);
    let load = |base: &Path, adapter| Model::load_frozen(&ModelSource::open(base)?, adapter, Precision::Fp32, Device::Cpu);
    let (mut reloaded, tolerance) = match format {
        ArtifactFormat::PeftAdapter => (load(&config.base_model.path, Some(folder))?, ADAPTER_TOLERANCE),
        ArtifactFormat::HuggingFace => (load(folder, None)?, MODEL_TOLERANCE),
    };
    let difference = relative_difference(&expected, &logits(&mut reloaded)?);
    tracing::info!(difference, peak_memory_bytes = peak_resident_bytes(), "the published model's logits were compared");
    if difference.is_nan() || difference > tolerance {
        return Err(Failure::unexpected(format!(
            "{}: loaded again, the model's logits differ by {difference:.1e} of their largest (at most {tolerance:.0e} is rounding)",
            folder.display()
        )));
    }
    fs::write(folder.join("README.md"), model_card(config, format)).map_err(Failure::at("write", &folder.join("README.md")))
}

/// The same fp32 values in the same computation, or in one that adds in another order.
const ADAPTER_TOLERANCE: f64 = 1e-4;
/// A whole model is fp32 too, but an adapter that is folded into its weights adds in another order in every layer.
const MODEL_TOLERANCE: f64 = 3e-2;

/// `[32, V]` fp32 logits of a fixed sequence.
fn logits(model: &mut Model) -> Result<Tensor> {
    let vocab_size = model.config().vocab_size as i64;
    // 7919 is a prime, so the ids are spread over the vocabulary.
    let ids: Vec<i64> = (1..=32).map(|place| place * 7919 % vocab_size).collect();
    Ok(model.logits(&ids)?)
}

/// `max |a - b| / max |a|`.
fn relative_difference(expected: &Tensor, found: &Tensor) -> f64 {
    let difference = (expected - found).abs().max().double_value(&[]);
    difference / expected.abs().max().double_value(&[]).max(f64::MIN_POSITIVE)
}

/// What a person finds beside the weights. Nothing of this run's place or time: equal weights make equal folders.
fn model_card(config: &TrainerConfig, format: ArtifactFormat) -> String {
    let TrainerConfig { job_name, base_model, .. } = config;
    let (library, what) = match format {
        ArtifactFormat::PeftAdapter => ("peft", "A LoRA adapter"),
        ArtifactFormat::HuggingFace => ("transformers", "A model"),
    };
    // JSON strings are YAML strings too, whatever the name holds.
    let name = serde_json::Value::from(BaseName::of(base_model).name);
    format!(
        "---\nbase_model: {name}\nlibrary_name: {library}\n---\n\n# {job_name}\n\n{what} fine-tuned from `{}` by Temper.\n",
        base_model.uri
    )
}

/// Makes the folder durable and gives it its name.
fn commit(aside: &Path, config: &TrainerConfig, format: ArtifactFormat) -> Result<PublishReport> {
    let files = digest::files(aside)?;
    for name in files.keys() {
        let path = aside.join(name);
        File::open(&path).and_then(|file| file.sync_all()).map_err(Failure::at("make durable", &path))?;
    }
    sync_folder(aside)?;
    kill_point(kill_point::PUBLISH_BEFORE_RENAME);
    let output = &config.output_folder;
    let digest = digest::of_entries(&files);
    let report = PublishReport { path: output.display().to_string(), format, digest, files };
    if output.exists() && digest::folder(output).is_ok_and(|existing| existing == report.digest) {
        // Published by a run that ended before its report.
        fs::remove_dir_all(aside).map_err(Failure::at("remove", aside))?;
        return Ok(report);
    }
    swap::take_place(aside, output)?;
    Ok(report)
}
