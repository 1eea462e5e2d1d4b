//! What the registry is told about a finished job: the same of a local run and of one in a cluster.

use crate::validated::{Register, ValidatedFineTuneJob};
use std::collections::BTreeMap;
use temper_contract::config::Method;
use temper_contract::report::{ArtifactFormat, PrepareReport, PublishReport, TrainReport};
use temper_crds::modelversion::{BaseModelReference, ModelFormat, SourceReference};
use temper_crds::{Decimal, ModelVersionSpec};

/// The longest value of `trainingConfig`, as its schema has it.
const LONGEST_SETTING: usize = 1024;
const ELLIPSIS: &str = "...";

/// What a job's stages said when they were done.
#[derive(Clone, Copy, Debug)]
pub struct Reports<'a> {
    /// `prepare`'s.
    pub prepared: &'a PrepareReport,
    /// `train`'s, where it is still known.
    pub trained: Option<&'a TrainReport>,
    /// `publish`'s.
    pub published: &'a PublishReport,
}

/// The registry entry of a finished job's model. Which version it is and where the model lies is the registry's to say.
pub fn model_version_spec(
    job: &ValidatedFineTuneJob,
    register: &Register,
    reports: Reports<'_>,
    source: SourceReference,
    version: u32,
    uri: String,
) -> ModelVersionSpec {
    ModelVersionSpec {
        model_name: register.model_name.clone(),
        version,
        uri,
        digest: reports.published.digest.clone(),
        format: match reports.published.format {
            ArtifactFormat::PeftAdapter => ModelFormat::PeftAdapter,
            ArtifactFormat::HuggingFace => ModelFormat::HuggingFace,
        },
        base_model: Some(BaseModelReference { uri: job.base_model.uri.clone(), digest: Some(reports.prepared.base_model_digest.clone()) }),
        chat_template_digest: reports.prepared.chat_template_digest.clone(),
        training_config: training_config(job),
        metrics: reports.trained.map(metrics).unwrap_or_default(),
        source_ref: Some(source),
        stage: register.stage,
    }
}

/// The settings that most decide a result.
fn training_config(job: &ValidatedFineTuneJob) -> BTreeMap<String, String> {
    let hyperparameters = &job.hyperparameters;
    let mut settings = BTreeMap::from([
        ("learningRate", hyperparameters.learning_rate.to_string()),
        ("perDeviceTrainBatchSize", hyperparameters.per_device_train_batch_size.to_string()),
        ("microBatchesPerStep", job.parallelism.micro_batches_per_step.to_string()),
        ("numTrainEpochs", hyperparameters.num_train_epochs.to_string()),
        ("seed", hyperparameters.seed.to_string()),
    ]);
    settings.extend(hyperparameters.max_steps.map(|steps| ("maxSteps", steps.to_string())));
    if let Method::Lora(lora) = &job.method {
        settings.extend([
            ("r", lora.r.to_string()),
            ("loraAlpha", lora.lora_alpha.to_string()),
            ("targetModules", lora.target_modules.join(",")),
        ]);
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), bounded(value))).collect()
}

/// The text, cut where the schema would refuse it: a long list of modules must not keep a model out of the registry.
fn bounded(mut text: String) -> String {
    if text.len() > LONGEST_SETTING {
        let cut = (0..=LONGEST_SETTING - ELLIPSIS.len()).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(cut);
        text.push_str(ELLIPSIS);
    }
    text
}

fn metrics(report: &TrainReport) -> BTreeMap<String, Decimal> {
    let validation = report.validation.map(|loss| [("validationLoss", loss.after), ("validationPerplexity", loss.after.exp())]);
    let measured = [("trainingLoss", report.training_loss)].into_iter().chain(validation.into_iter().flatten());
    measured.filter_map(|(name, value)| Some((name.to_owned(), Decimal::rounded(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_SETTING, bounded};

    #[test]
    fn a_setting_is_cut_to_what_the_registry_takes() {
        assert_eq!(bounded("q_proj,v_proj".to_owned()), "q_proj,v_proj");
        assert_eq!(bounded("q".repeat(LONGEST_SETTING)), "q".repeat(LONGEST_SETTING));
        let cut = bounded("\u{e9}".repeat(LONGEST_SETTING));
        assert!(cut.len() <= LONGEST_SETTING && cut.len() > LONGEST_SETTING - 8 && cut.ends_with("\u{e9}..."), "{}", cut.len());
    }
}
