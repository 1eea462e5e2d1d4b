//! What `publish` makes of a job, which is known before anything is trained.

use temper_artifact::{Error, ModelSource};
use temper_contract::TrainerConfig;
use temper_contract::config::Method;
use temper_contract::report::ArtifactFormat;

/// The kind of folder that the job publishes.
pub(super) fn format(config: &TrainerConfig) -> ArtifactFormat {
    match config.method {
        Method::Lora(_) if !config.output.merge_adapter => ArtifactFormat::PeftAdapter,
        _ => ArtifactFormat::HuggingFace,
    }
}

/// Refuses a base model that cannot be published as that kind: it is better said before training than after.
pub(super) fn check(config: &TrainerConfig, source: &ModelSource) -> Result<(), Error> {
    match format(config) {
        ArtifactFormat::PeftAdapter => Ok(()),
        ArtifactFormat::HuggingFace => source.config().check_saves_whole(source.path()),
    }
}
