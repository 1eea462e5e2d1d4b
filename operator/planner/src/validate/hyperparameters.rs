//! `spec.hyperparameters`.

use super::findings::Findings;
use temper_contract::config;
use temper_crds::Decimal;
use temper_crds::finetunejob::hyperparameters::{Hyperparameters, LrSchedulerType, Precision};
use temper_crds::finetunejob::method::{Method, MethodType};

/// The peak learning rate of LoRA where the spec gives none.
pub(super) const LORA_LEARNING_RATE: f64 = 2e-4;
/// The peak learning rate of full fine-tuning where the spec gives none.
pub(super) const FULL_LEARNING_RATE: f64 = 2e-5;

pub(super) fn resolve(given: &Hyperparameters, method: &Method, findings: &mut Findings) -> config::Hyperparameters {
    if given.num_train_epochs.is_none() && given.max_steps.is_none() {
        findings.wrong("spec.hyperparameters", "", "does not say how long to train", "set numTrainEpochs or maxSteps");
    }
    findings.whole_if(given.num_train_epochs, 1..=10_000, "spec.hyperparameters.numTrainEpochs");
    findings.whole_if(given.max_steps, 1..=1_000_000_000, "spec.hyperparameters.maxSteps");
    findings.whole(given.per_device_train_batch_size, 1..=4096, "spec.hyperparameters.perDeviceTrainBatchSize");
    findings.whole(given.gradient_accumulation_steps, 1..=65_536, "spec.hyperparameters.gradientAccumulationSteps");
    findings.whole(given.warmup_steps, 0..=1_000_000_000, "spec.hyperparameters.warmupSteps");
    if let Some(steps) = given.max_steps
        && given.warmup_steps > steps
    {
        let reason = format!("is more than maxSteps ({steps}): the learning rate would never reach its peak");
        findings.wrong("spec.hyperparameters.warmupSteps", given.warmup_steps, reason, "lower it");
    }
    if given.gradient_checkpointing {
        let next_step = "set it to false; for less memory lower perDeviceTrainBatchSize and raise gradientAccumulationSteps";
        findings.not_supported("spec.hyperparameters.gradientCheckpointing", true, next_step);
    }
    let default_rate = match method.type_ {
        MethodType::Lora => LORA_LEARNING_RATE,
        MethodType::Full => FULL_LEARNING_RATE,
    };
    let mut decimal = |decimal: &Decimal, name: &str, wanted: &str, allowed: fn(f64) -> bool| {
        findings.decimal(decimal, &format!("spec.hyperparameters.{name}"), wanted, allowed)
    };
    config::Hyperparameters {
        num_train_epochs: given.num_train_epochs.unwrap_or(1).into(),
        max_steps: given.max_steps.map(u64::from),
        per_device_train_batch_size: given.per_device_train_batch_size as usize,
        learning_rate: given
            .learning_rate
            .as_ref()
            .map_or(default_rate, |rate| decimal(rate, "learningRate", "above 0 and at most 10", |number| number > 0.0 && number <= 10.0)),
        lr_scheduler_type: match given.lr_scheduler_type {
            LrSchedulerType::Linear => config::LrSchedulerType::Linear,
            LrSchedulerType::Cosine => config::LrSchedulerType::Cosine,
            LrSchedulerType::Constant => config::LrSchedulerType::Constant,
        },
        warmup_steps: given.warmup_steps.into(),
        weight_decay: decimal(&given.weight_decay, "weightDecay", "from 0 to 1", |number| (0.0..=1.0).contains(&number)),
        adam_beta1: decimal(&given.adam_beta1, "adamBeta1", "from 0 up to, but not including, 1", |number| (0.0..1.0).contains(&number)),
        adam_beta2: decimal(&given.adam_beta2, "adamBeta2", "from 0 up to, but not including, 1", |number| (0.0..1.0).contains(&number)),
        adam_epsilon: decimal(&given.adam_epsilon, "adamEpsilon", "above 0 and at most 1", |number| number > 0.0 && number <= 1.0),
        max_grad_norm: decimal(&given.max_grad_norm, "maxGradNorm", "from 0 to 1e6", |number| (0.0..=1e6).contains(&number)),
        precision: match given.precision {
            Precision::Bf16 => config::Precision::Bf16,
            Precision::Fp32 => config::Precision::Fp32,
        },
        seed: given.seed.into(),
    }
}
