//! Parameter counts, equal to those of PEFT's `print_trainable_parameters`.

use crate::{Error, LinearModule, ModelConfig, match_target_modules};
use temper_contract::config::Method;
use temper_contract::report::Parameters;

/// Parameters of the base model, a tied output projection not counted again.
pub fn base(config: &ModelConfig) -> u64 {
    config.expected_tensors().iter().map(|tensor| tensor.shape.iter().map(|&dimension| dimension as u64).product::<u64>()).sum()
}

/// All parameters (adapters included) and how many of them the method trains.
pub fn count(config: &ModelConfig, method: &Method) -> Result<Parameters, Error> {
    let base = base(config);
    match method {
        Method::Full => Ok(Parameters { total: base, trainable: base }),
        Method::Lora(lora) => {
            let modules = match_target_modules(config, &lora.target_modules)?;
            let matrices = |module: &LinearModule| (lora.r as u64).saturating_mul((module.in_features + module.out_features) as u64);
            let trainable = modules.iter().map(matrices).fold(0, u64::saturating_add);
            Ok(Parameters { total: base.saturating_add(trainable), trainable })
        }
    }
}
