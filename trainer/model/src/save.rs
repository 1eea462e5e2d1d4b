//! Writing adapters and whole models.

use crate::{Error, Model};
use std::path::Path;
use temper_artifact::ModelSource;

/// Writes `adapter_config.json` and `adapter_model.safetensors` as PEFT does, for a model loaded with LoRA. `base_model` is recorded as
/// `base_model_name_or_path`. Equal values give equal bytes.
pub fn adapter(model: &Model, folder: &Path, base_model: &str) -> Result<(), Error> {
    todo!()
}

/// Writes a whole model as transformers does: weights in the base's number type, config.json, the tokenizer's files. Adapters are folded in
/// (`W + scale * B A`). Equal values give equal bytes.
pub fn full(model: &Model, source: &ModelSource, folder: &Path) -> Result<(), Error> {
    todo!()
}
