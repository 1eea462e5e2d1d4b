//! PEFT's adapter_config.json for a LoRA adapter.

use crate::json_file::JsonObject;
use crate::target_modules::{ALL_LINEAR, LINEAR_NAMES};
use crate::{Error, write};
use serde_json::{Value, json};
use std::path::Path;
use temper_contract::config::Lora;

/// The release of PEFT whose fields are written, and its name in the file.
const PEFT_VERSION: &str = "0.21.2";

/// What a LoRA adapter is, in PEFT's terms. Fields that PEFT has and this lacks are written with PEFT's defaults and refused, when they
/// are set to anything else, on reading.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// Where the base model came from.
    pub base_model_name_or_path: Option<String>,
    /// Its revision.
    pub revision: Option<String>,
    /// The rank.
    pub r: usize,
    /// The update is scaled by `lora_alpha / r` (by `lora_alpha / sqrt(r)` with `use_rslora`).
    pub lora_alpha: f64,
    /// Probability of dropping an input of the adapter, in training.
    pub lora_dropout: f64,
    /// Module names or suffixes; only `all-linear` as PEFT's shorthand.
    pub target_modules: Vec<String>,
    /// Rank-stabilised scaling.
    pub use_rslora: bool,
}

/// The file's name in an adapter's folder.
pub(crate) const FILE: &str = "adapter_config.json";
/// Largest rank that is read.
const MAX_RANK: usize = 1 << 16;

/// Fields that say nothing about the computation once the adapter is trained.
const WITHOUT_EFFECT: [&str; 7] =
    ["auto_mapping", "inference_mode", "layers_pattern", "megatron_core", "peft_version", "qalora_group_size", "runtime_config"];
/// Fields that are read.
const READ: [&str; 11] = [
    "base_model_name_or_path",
    "bias",
    "init_lora_weights",
    "lora_alpha",
    "lora_dropout",
    "peft_type",
    "r",
    "revision",
    "target_modules",
    "task_type",
    "use_rslora",
];

impl AdapterConfig {
    /// The configuration of the adapter that these settings train.
    pub fn new(lora: &Lora, base_model: &str) -> AdapterConfig {
        AdapterConfig {
            base_model_name_or_path: Some(base_model.to_owned()),
            revision: None,
            r: lora.r,
            lora_alpha: lora.lora_alpha,
            lora_dropout: lora.lora_dropout,
            target_modules: lora.target_modules.clone(),
            use_rslora: lora.use_rslora,
        }
    }

    /// What the adapter's product `B A x` is multiplied by.
    pub fn scaling(&self) -> f64 {
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// The name of a module's matrix (`lora_A` or `lora_B`) in adapter_model.safetensors.
    pub fn tensor_name(module: &str, matrix: &str) -> String {
        format!("base_model.model.{module}.{matrix}.weight")
    }

    /// Reads `adapter_config.json` in a folder. Anything that would make another computation than LoRA as it is implemented is refused.
    pub fn read(folder: &Path) -> Result<AdapterConfig, Error> {
        AdapterConfig::from_json(&JsonObject::read(&folder.join(FILE))?)
    }

    /// Writes `adapter_config.json` into a folder, atomically, with the fields and in the order that PEFT writes; target modules sorted.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        write::atomic_json(&folder.join(FILE), &self.to_json())
    }

    fn from_json(file: &JsonObject) -> Result<AdapterConfig, Error> {
        let expect = |field: &str, wanted: &str| match file.str(field)? {
            Some(found) if found.eq_ignore_ascii_case(wanted) => Ok(()),
            found => Err(file.error(field, found.unwrap_or("missing"), format!("only {wanted} adapters are supported"))),
        };
        expect("peft_type", "LORA")?;
        if file.get("task_type").is_some() {
            expect("task_type", "CAUSAL_LM")?;
        }
        match file.str("bias")? {
            None | Some("none") => {}
            Some(other) => return Err(file.error("bias", other, "trained biases are not supported; supported is none")),
        }
        // These change the base weights when the adapter is made, so that the adapter alone does not say what was trained.
        match file.get("init_lora_weights") {
            None | Some(Value::Bool(_)) => {}
            Some(Value::String(name)) if matches!(name.as_str(), "gaussian" | "eva" | "orthogonal") => {}
            Some(other) => {
                return Err(file.error(
                    "init_lora_weights",
                    other,
                    "this changes the base model's weights, which is not supported; convert the adapter to plain LoRA with PEFT",
                ));
            }
        }
        let known = |name: &str| READ.contains(&name) || WITHOUT_EFFECT.contains(&name);
        if let Some((name, value)) = file.fields.iter().find(|(name, value)| !known(name) && is_set(value)) {
            return Err(file.error(
                name,
                value,
                "this is not supported; supported is plain LoRA (r, lora_alpha, lora_dropout, target_modules, use_rslora)",
            ));
        }
        let r = file.usize("r")?.ok_or_else(|| file.missing("r"))?;
        if !(1..=MAX_RANK).contains(&r) {
            return Err(file.error("r", r, format!("it must be from 1 to {MAX_RANK}")));
        }
        let lora_alpha = file.f64("lora_alpha")?.ok_or_else(|| file.missing("lora_alpha"))?;
        let lora_dropout = file.f64("lora_dropout")?.unwrap_or(0.0);
        if !(0.0..1.0).contains(&lora_dropout) {
            return Err(file.error("lora_dropout", lora_dropout, "it must be at least 0 and below 1"));
        }
        Ok(AdapterConfig {
            base_model_name_or_path: file.str("base_model_name_or_path")?.map(str::to_owned),
            revision: file.str("revision")?.map(str::to_owned),
            r,
            lora_alpha,
            lora_dropout,
            target_modules: target_modules(file)?,
            use_rslora: file.bool("use_rslora")?.unwrap_or(false),
        })
    }

    fn to_json(&self) -> Value {
        // The shorthand is written out, as PEFT does: not every loader knows it.
        let all = matches!(self.target_modules.as_slice(), [one] if one.eq_ignore_ascii_case(ALL_LINEAR));
        let mut targets = if all { LINEAR_NAMES.map(str::to_owned).to_vec() } else { self.target_modules.clone() };
        targets.sort();
        targets.dedup();
        json!({
            "alora_invocation_tokens": null,
            "alpha_pattern": {},
            "arrow_config": null,
            "auto_mapping": null,
            "base_model_name_or_path": self.base_model_name_or_path,
            "bias": "none",
            "corda_config": null,
            "ensure_weight_tying": false,
            "eva_config": null,
            "exclude_modules": null,
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "kasa_config": null,
            "layer_replication": null,
            "layers_pattern": null,
            "layers_to_transform": null,
            "loftq_config": {},
            "lora_alpha": whole(self.lora_alpha),
            "lora_bias": false,
            "lora_dropout": self.lora_dropout,
            "lora_ga_config": null,
            "megatron_config": null,
            "megatron_core": "megatron.core",
            "modules_to_save": null,
            "monteclora_config": null,
            "peft_type": "LORA",
            "peft_version": PEFT_VERSION,
            "qalora_group_size": 16,
            "r": self.r,
            "rank_pattern": {},
            "revision": self.revision,
            "target_modules": targets,
            "target_parameters": null,
            "task_type": "CAUSAL_LM",
            "trainable_token_indices": null,
            "use_bdlora": null,
            "use_dora": false,
            "use_qalora": false,
            "use_rslora": self.use_rslora,
            "velora_config": null,
        })
    }
}

fn target_modules(file: &JsonObject) -> Result<Vec<String>, Error> {
    const FIELD: &str = "target_modules";
    match file.get(FIELD) {
        None => Err(file.missing(FIELD)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case(ALL_LINEAR) => Ok(vec![ALL_LINEAR.to_owned()]),
        Some(text @ Value::String(_)) => Err(file.error(FIELD, text, "regular expressions are not supported; list the modules' names")),
        Some(Value::Array(list)) => {
            let name =
                |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| file.error(FIELD, value, "a module name is expected"));
            list.iter().map(name).collect()
        }
        Some(other) => Err(file.error(FIELD, other, "a list of module names is expected")),
    }
}

/// Whether a field that PEFT leaves null, false or empty has been given a meaning.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

/// Whole numbers are written without a fraction, as PEFT does for an integer alpha.
fn whole(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

#[cfg(test)]
mod tests;
