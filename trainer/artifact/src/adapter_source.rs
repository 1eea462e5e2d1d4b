//! A LoRA adapter on this machine, opened and checked against its base model.

use crate::model_folder::ModelFolder;
use crate::{AdapterConfig, Error, LinearModule, ModelConfig, RawTensor, SafetensorsFile, match_target_modules, pickle};
use std::collections::BTreeSet;
use std::path::Path;

const WEIGHTS: &str = "adapter_model.safetensors";
const PICKLED_WEIGHTS: &str = "adapter_model.bin";

/// An opened PEFT adapter. Every module that its configuration selects has both matrices, with the shapes that the base model calls for.
#[derive(Debug)]
pub struct AdapterSource {
    config: AdapterConfig,
    modules: Vec<LinearModule>,
    file: SafetensorsFile,
}

impl AdapterSource {
    /// Opens an adapter's folder (adapter_config.json and adapter_model.safetensors) for this base model.
    pub fn open(path: &Path, base: &ModelConfig) -> Result<AdapterSource, Error> {
        let folder = ModelFolder::open(path)?;
        let config = AdapterConfig::read(path)?;
        let Some(weights) = folder.file(WEIGHTS)? else {
            if let Some(pickled) = folder.file(PICKLED_WEIGHTS)? {
                pickle::refuse(&pickled)?;
            }
            return Err(Error::NotAModel { path: path.to_owned(), reason: format!("the folder has adapter_config.json but no {WEIGHTS}") });
        };
        let file = SafetensorsFile::open(&weights)?;
        let modules = match_target_modules(base, &config.target_modules)?;
        let mut expected = BTreeSet::new();
        for module in &modules {
            for (matrix, shape) in [("lora_A", [config.r, module.in_features]), ("lora_B", [module.out_features, config.r])] {
                let name = AdapterConfig::tensor_name(&module.name, matrix);
                let tensor = file.tensor(&name)?;
                if tensor.info().shape != shape {
                    let reason = format!(
                        "its shape is {:?}, but the base model and the rank say {shape:?}; the adapter belongs to another model",
                        tensor.info().shape
                    );
                    return Err(Error::tensor(&weights, &name, reason));
                }
                expected.insert(name);
            }
        }
        if let Some(other) = file.tensors().find(|info| !expected.contains(&info.name)) {
            let reason =
                "target_modules does not select the module it belongs to, so it could not be used; the files do not belong together";
            return Err(Error::tensor(&weights, &other.name, reason));
        }
        Ok(AdapterSource { config, modules, file })
    }

    /// The adapter's settings.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// The modules it adapts, in model order.
    pub fn modules(&self) -> &[LinearModule] {
        &self.modules
    }

    /// The matrix A of a module, `[r, in_features]`.
    pub fn lora_a(&self, module: &LinearModule) -> Result<RawTensor<'_>, Error> {
        self.file.tensor(&AdapterConfig::tensor_name(&module.name, "lora_A"))
    }

    /// The matrix B of a module, `[out_features, r]`.
    pub fn lora_b(&self, module: &LinearModule) -> Result<RawTensor<'_>, Error> {
        self.file.tensor(&AdapterConfig::tensor_name(&module.name, "lora_B"))
    }
}
