//! `publish`: the finished model, written aside, loaded again, compared, hashed, and then given its name.

use super::base_name::BaseName;
use super::output;
use crate::checkpoint::{self, CheckpointStore, Tensors};
use crate::compute;
use crate::durable::{create_folder, read_json, sync_folder, write_json};
use crate::events::emit;
use crate::failure::{Failure, Result};
use crate::kill_point::{self, kill_point};
use crate::optimizer::Moments;
use crate::transfer;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tch::Device;
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
    let mut model = load_trained(config, &source, &trained)?;
    let format = output::format(config);
    let aside = aside(&config.output_folder)?;
    let published =
        write_checked(config, &source, &mut model, format, &aside).and_then(|()| commit(&aside, config, format)).inspect_err(|_| {
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
    let mut model = Model::load(source, &config.method, Precision::Fp32, Device::Cpu, config.hyperparameters.seed)?;
    let moments = Moments::zeros_like(&model.trainable().master)?;
    let checkpoints = CheckpointStore::new(&config.checkpoint_folder, 0, config.checkpoint.save_total_limit);
    let parameters = model.trainable();
    let tensors = Tensors { parameters: parameters.parameters(), master: &parameters.master, moments: &moments };
    let found = checkpoints.load_newest(&tensors)?;
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

/// A folder beside the output's, so that a rename suffices.
fn aside(output: &Path) -> Result<PathBuf> {
    let name = output.file_name().ok_or_else(|| {
        Failure::invalid(format!("output folder {}: it has no name", output.display()), "give spec.output.storageUri a folder's name")
    })?;
    let aside = output.with_file_name(format!(".tmp-{}", name.to_string_lossy()));
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(Failure::at("remove", &aside))?;
    }
    create_folder(&aside)?;
    Ok(aside)
}

fn write_checked(config: &TrainerConfig, source: &ModelSource, model: &mut Model, format: ArtifactFormat, folder: &Path) -> Result<()> {
    let (mut reloaded, tolerance) = match format {
        ArtifactFormat::PeftAdapter => {
            let base = BaseName::of(&config.base_model);
            save::adapter(model, folder, &base.name, base.revision.as_deref())?;
            (Model::load_frozen(source, Some(folder), Precision::Fp32, Device::Cpu)?, ADAPTER_TOLERANCE)
        }
        ArtifactFormat::HuggingFace => {
            save::full(model, source, folder)?;
            // A Hugging Face base's own files came along; a GGUF base has its tokenizer inside.
            if let TokenizerSource::Gguf(tokenizer) = source.tokenizer()? {
                temper_data::write_tokenizer_files(&tokenizer, folder)?;
            }
            (Model::load_frozen(&ModelSource::open(folder)?, None, Precision::Fp32, Device::Cpu)?, MODEL_TOLERANCE)
        }
    };
    let difference = relative_difference(model, &mut reloaded)?;
    tracing::info!(difference, "the published model's logits were compared");
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

/// `max |a - b| / max |a|` over the logits of a fixed sequence.
fn relative_difference(model: &mut Model, reloaded: &mut Model) -> Result<f64> {
    let vocab_size = model.config().vocab_size as i64;
    // 7919 is a prime, so the ids are spread over the vocabulary.
    let ids: Vec<i64> = (1..=32).map(|place| place * 7919 % vocab_size).collect();
    let expected = model.logits(&ids)?;
    let difference = (&expected - reloaded.logits(&ids)?).abs().max().double_value(&[]);
    Ok(difference / expected.abs().max().double_value(&[]).max(f64::MIN_POSITIVE))
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
    if output.exists() {
        if digest::folder(output).is_ok_and(|existing| existing == report.digest) {
            // Published by a run that ended before its report.
            fs::remove_dir_all(aside).map_err(Failure::at("remove", aside))?;
            return Ok(report);
        }
        clear(output)?;
    }
    fs::rename(aside, output).map_err(Failure::at("rename to", output))?;
    sync_folder(output.parent().unwrap_or(Path::new(".")))?;
    Ok(report)
}

/// Removes what is in the output's place if it is empty or a model; anything else is somebody's.
fn clear(output: &Path) -> Result<()> {
    let is_empty = fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    let is_model = ["adapter_config.json", "config.json"].iter().any(|name| output.join(name).is_file());
    if !is_empty && !is_model {
        return Err(Failure::invalid(
            format!("output folder {}: it holds something that is not a model", output.display()),
            "give spec.output.storageUri a folder of its own",
        ));
    }
    fs::remove_dir_all(output).map_err(Failure::at("remove", output))
}
