//! What the registry is told about a finished run.

use crate::local::home::Home;
use crate::local::job::LocalJob;
use crate::local::model_reference::BASE_MODEL_PATH;
use crate::local::registry::Registry;
use crate::local::state::Registered;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use temper_contract::config::Method;
use temper_contract::report::{ArtifactFormat, TrainReport};
use temper_crds::modelversion::{BaseModelReference, ModelFormat, SourceReference};
use temper_crds::{Decimal, ModelVersionSpec, Timestamp};

/// Enters the run's published model in the registry.
pub fn register(job: &LocalJob, home: &Home, now: Timestamp) -> Result<Registered> {
    let register = job.validated.register.as_ref().context("the job asks for no registration")?;
    let published = job.run.publish_report()?.context("the job has published nothing")?;
    let prepared = job.run.prepare_report()?.context("the job has prepared nothing")?;
    let trained = job.run.train_report()?;
    let spec = ModelVersionSpec {
        model_name: register.model_name.clone(),
        version: 0,
        uri: String::new(),
        digest: published.digest.clone(),
        format: match published.format {
            ArtifactFormat::PeftAdapter => ModelFormat::PeftAdapter,
            ArtifactFormat::HuggingFace => ModelFormat::HuggingFace,
        },
        base_model: Some(BaseModelReference { uri: job.validated.base_model.uri.clone(), digest: Some(prepared.base_model_digest) }),
        chat_template_digest: prepared.chat_template_digest,
        training_config: training_config(job),
        metrics: trained.as_ref().map(metrics).unwrap_or_default(),
        source_ref: Some(SourceReference {
            kind: "FineTuneJob".to_owned(),
            name: job.validated.name.clone(),
            uid: Some(job.identity.digest.clone()),
        }),
        stage: register.stage,
    };
    let notes = BTreeMap::from([(BASE_MODEL_PATH.to_owned(), job.folders.base_model.display().to_string())]);
    let entry = Registry::new(home).register(Path::new(&published.path), spec, notes, now)?;
    Ok(Registered {
        model_name: entry.version.spec.model_name.clone(),
        name: entry.version.metadata.name.clone().unwrap_or_default(),
        version: entry.version.spec.version,
        model: entry.model,
        manifest: entry.manifest,
    })
}

/// The settings that most decide a result.
fn training_config(job: &LocalJob) -> BTreeMap<String, String> {
    let hyperparameters = &job.validated.hyperparameters;
    let mut settings = BTreeMap::from([
        ("learningRate", hyperparameters.learning_rate.to_string()),
        ("perDeviceTrainBatchSize", hyperparameters.per_device_train_batch_size.to_string()),
        ("microBatchesPerStep", job.validated.parallelism.micro_batches_per_step.to_string()),
        ("numTrainEpochs", hyperparameters.num_train_epochs.to_string()),
        ("seed", hyperparameters.seed.to_string()),
    ]);
    settings.extend(hyperparameters.max_steps.map(|steps| ("maxSteps", steps.to_string())));
    if let Method::Lora(lora) = &job.validated.method {
        settings.extend([
            ("r", lora.r.to_string()),
            ("loraAlpha", lora.lora_alpha.to_string()),
            ("targetModules", lora.target_modules.join(",")),
        ]);
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn metrics(report: &TrainReport) -> BTreeMap<String, Decimal> {
    let validation = report.validation.map(|loss| [("validationLoss", loss.after), ("validationPerplexity", loss.after.exp())]);
    let measured = [("trainingLoss", report.training_loss)].into_iter().chain(validation.into_iter().flatten());
    measured.filter_map(|(name, value)| Some((name.to_owned(), Decimal::rounded(value)?))).collect()
}
