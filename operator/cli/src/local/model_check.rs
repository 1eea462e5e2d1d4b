//! What a base model's headers say about a job, without torch and before anything runs.

use temper_artifact::{MemoryEstimate, ModelSource, match_target_modules, memory, parameters, processor};
use temper_contract::TrainerConfig;
use temper_contract::config::Method;
use temper_contract::report::Parameters;
use temper_planner::{Problem, ValidatedFineTuneJob, memory_policy};

/// What is known about a job's model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCheck {
    /// The architecture.
    pub family: String,
    /// Parameters and how many are trained.
    pub parameters: Parameters,
    /// Linear modules that get an adapter; 0 with full fine-tuning.
    pub adapted_modules: usize,
    /// Peak memory of one rank.
    pub memory: MemoryEstimate,
}

impl ModelCheck {
    /// Why training surely takes more memory than the manifest allows a pod: what the planner refuses once `prepare` is done.
    pub fn excess(&self, job: &ValidatedFineTuneJob) -> Option<Problem> {
        let message = memory_policy::excess(job, self.memory.total, None)?;
        let (reason, next_step) = message.split_once("; ").unwrap_or((message.as_str(), ""));
        let limit = job.placement.resources.limits.get("memory").map(ToString::to_string).unwrap_or_default();
        Some(Problem::new("spec.trainer.resourcesPerNode.limits[memory]", limit, reason, next_step))
    }
}

/// Reads the base model's headers; a problem names the manifest's field.
pub fn check(config: &TrainerConfig) -> Result<ModelCheck, Problem> {
    let unreadable = |error: temper_artifact::Error| {
        Problem::new(
            "spec.baseModel.storageUri",
            &config.base_model.uri,
            error.to_string(),
            "use a model folder or GGUF file that this version reads",
        )
    };
    let source = ModelSource::open(&config.base_model.path).map_err(unreadable)?;
    source.config().check_trains(source.path()).map_err(unreadable)?;
    let unfit = |error: temper_artifact::Error| match &config.method {
        Method::Lora(lora) => Problem::new(
            "spec.method.lora.targetModules",
            format!("[{}]", lora.target_modules.join(", ")),
            error.to_string(),
            "name modules of the model, or all-linear",
        ),
        Method::Full => Problem::new("spec.method", "full", error.to_string(), "use another base model"),
    };
    let adapted_modules = match &config.method {
        Method::Lora(lora) => match_target_modules(source.config(), &lora.target_modules).map_err(unfit)?.len(),
        Method::Full => 0,
    };
    Ok(ModelCheck {
        family: source.config().family.model_type().to_owned(),
        parameters: parameters::count(source.config(), &config.method).map_err(unfit)?,
        adapted_modules,
        memory: memory::estimate(source.config(), source.stored_bytes(), config, processor::bf16(config.parallelism.device))
            .map_err(unfit)?,
    })
}
