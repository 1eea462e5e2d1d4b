//! Reading a PEFT adapter's folder into the flat values.

use crate::{Error, Model};
use std::path::Path;
use tch::Tensor;
use temper_artifact::{AdapterConfig, SafetensorsFile, match_target_modules};
use temper_contract::config::Method;

/// The weights' file in an adapter's folder.
pub(crate) const FILE: &str = "adapter_model.safetensors";

impl Model {
    /// Replaces the adapters' values by those of a PEFT folder, ours or PEFT's own, whose settings must be this model's.
    pub fn load_adapter(&mut self, folder: &Path) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        let path = folder.join(FILE);
        let refuse = |field: &str, reason: String| Err(Error::Adapter { path: path.clone(), field: field.to_owned(), reason });
        let Some(Method::Lora(lora)) = &self.method else {
            return refuse("peft_type", "is LORA, but the model was loaded without adapters".to_owned());
        };
        let settings = AdapterConfig::read(folder)?;
        if settings.r != lora.r {
            return refuse("r", format!("is {}, but the model was loaded with {}; use equal ranks", settings.r, lora.r));
        }
        let (theirs, ours) = (settings.scaling(), crate::lora::scaling(lora));
        if theirs != ours {
            return refuse("lora_alpha", format!("scales by {theirs}, but the model was loaded with {ours}; use equal settings"));
        }
        let modules = |targets: &[String]| match_target_modules(&self.config, targets);
        if modules(&settings.target_modules)? != modules(&lora.target_modules)? {
            let reason = format!("are {:?}, but the model was loaded with {:?}", settings.target_modules, lora.target_modules);
            return refuse("target_modules", reason);
        }
        let file = SafetensorsFile::open(&path)?;
        if let Some(extra) = file.tensors().find(|info| self.trainable.find(&info.name).is_none()) {
            return refuse(&extra.name, "is not a matrix of this model's adapters; is it the adapter of another model?".to_owned());
        }
        for parameter in self.trainable.parameters() {
            let Some(raw) = file.get(&parameter.name) else {
                return refuse(&parameter.name, "is missing; the adapter is incomplete or of another model".to_owned());
            };
            if raw.info().shape != parameter.shape {
                let reason = format!(
                    "has shape {:?}, but the model needs {:?}; is it the adapter of another model?",
                    raw.info().shape,
                    parameter.shape
                );
                return refuse(&parameter.name, reason);
            }
            let values = Tensor::from_slice(&raw.to_f32());
            let target = self.trainable.value(parameter);
            target.shallow_clone().copy_(&values.view(target.size().as_slice()));
        }
        self.sync_compute_weights();
        Ok(())
    }
}
