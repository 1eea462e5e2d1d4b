//! Writing adapters as PEFT does and whole models as transformers does. Equal values give equal bytes.

use crate::{Error, Model, adapter::FILE, shards};
use serde_json::Value;
use std::path::Path;
use tch::{Device, Kind, Tensor};
use temper_artifact::write::{self, SafetensorsWriter};
use temper_artifact::{AdapterConfig, Dtype, ModelSource, TensorInfo};
use temper_contract::config::Method;

/// Says which of several files each tensor is in.
const INDEX: &str = "model.safetensors.index.json";
/// What transformers expects in the metadata.
const METADATA: &[(&str, &str)] = &[("format", "pt")];

/// Writes `adapter_config.json` and `adapter_model.safetensors` (fp32) into an existing folder, for a model loaded with LoRA. `base_model` is
/// recorded as `base_model_name_or_path`; where that is a repository of the hub, `revision` is its branch, tag or commit.
pub fn adapter(model: &Model, folder: &Path, base_model: &str, revision: Option<&str>) -> Result<(), Error> {
    let _guard = tch::no_grad_guard();
    let Some(Method::Lora(lora)) = &model.method else {
        let reason = "the model has no adapters; save it whole".to_owned();
        return Err(Error::Setting { field: "method", value: "full".to_owned(), reason });
    };
    let mut parameters: Vec<_> = model.trainable.parameters().iter().collect();
    parameters.sort_by(|a, b| a.name.cmp(&b.name));
    let info =
        |parameter: &&crate::Parameter| TensorInfo { name: parameter.name.clone(), shape: parameter.shape.clone(), dtype: Dtype::F32 };
    let infos: Vec<TensorInfo> = parameters.iter().map(info).collect();
    let mut writer = SafetensorsWriter::create(&folder.join(FILE), &infos, METADATA)?;
    for parameter in parameters {
        writer.tensor(&bytes(&model.trainable.value(parameter), Kind::Float))?;
    }
    writer.finish()?;
    let config = AdapterConfig { revision: revision.map(str::to_owned), ..AdapterConfig::new(lora, base_model) };
    Ok(config.write(folder)?)
}

/// Writes a whole model into an existing folder: `model.safetensors` in the number type that the model was loaded in, whatever it was trained in
/// (several files with an index where they come to more than 5 GB), `config.json`, and from a Hugging Face folder everything else but its
/// weights (the tokenizer's files, the generation settings). Adapters are folded in, `W + scale B A`, computed in fp32. `source` is what the
/// model was loaded from. A model that config.json has no words for is refused.
pub fn full(model: &Model, source: &ModelSource, folder: &Path) -> Result<(), Error> {
    in_files_of(model, source, folder, shards::LARGEST)
}

/// The same with files of at most so many bytes.
pub(crate) fn in_files_of(model: &Model, source: &ModelSource, folder: &Path, largest: usize) -> Result<(), Error> {
    let _guard = tch::no_grad_guard();
    model.config.check_saves_whole(source.path())?;
    let kind = model.workspace.arithmetic.storage();
    let dtype = if kind == Kind::Float { Dtype::F32 } else { Dtype::BF16 };
    let infos = source.tensors().iter().map(|info| TensorInfo { dtype, ..info.clone() }).collect();
    let files = shards::cut(infos, largest);
    for shard in &files {
        let mut writer = SafetensorsWriter::create(&folder.join(&shard.file), &shard.tensors, METADATA)?;
        for info in &shard.tensors {
            writer.tensor(&bytes(&merged(model, source, &info.name)?, kind))?;
        }
        writer.finish()?;
    }
    if let Some(index) = shards::index(&files) {
        write::atomic_json(&folder.join(INDEX), &index)?;
    }
    write::atomic_json(&folder.join("config.json"), &config_json(&model.config.raw, kind))?;
    for (name, path) in source.files()? {
        let weights = name.ends_with(".safetensors") || name.ends_with(".gguf") || name.ends_with(".safetensors.index.json");
        if !weights && name != "config.json" {
            let content = std::fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
            let target = folder.join(&name);
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent).map_err(|source| Error::Write { path: target.clone(), source })?;
            }
            write::atomic(&target, &content)?;
        }
    }
    Ok(())
}

/// A parameter as trained, in fp32 on the CPU.
fn merged(model: &Model, source: &ModelSource, name: &str) -> Result<Tensor, Error> {
    if let Some(parameter) = model.trainable.find(name) {
        return Ok(model.trainable.value(parameter).to_device(Device::Cpu));
    }
    let raw = source.tensor(name)?;
    let shape: Vec<i64> = raw.info().shape.iter().map(|&extent| extent as i64).collect();
    let base = Tensor::f_from_slice(&raw.to_f32()).map_err(Error::libtorch("reading a weight"))?.view(shape.as_slice());
    let Some(module) = name.strip_suffix(".weight") else { return Ok(base) };
    let [a, b] = ["lora_A", "lora_B"].map(|matrix| model.trainable.find(&AdapterConfig::tensor_name(module, matrix)));
    let (Some(a), Some(b), Some(Method::Lora(lora))) = (a, b, &model.method) else { return Ok(base) };
    let [a, b] = [a, b].map(|parameter| model.trainable.value(parameter).to_device(Device::Cpu));
    Ok(base + b.mm(&a) * crate::lora::scaling(lora))
}

/// The base's settings with the number type of the new weights, under the name that the base uses for it.
fn config_json(raw: &Value, kind: Kind) -> Value {
    let mut config = raw.clone();
    if let Some(fields) = config.as_object_mut() {
        let field = if fields.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        let name = if kind == Kind::Float { "float32" } else { "bfloat16" };
        fields.insert(field.to_owned(), Value::from(name));
        fields.remove("quantization_config");
    }
    config
}

/// Little-endian elements in row-major order.
fn bytes(tensor: &Tensor, kind: Kind) -> Vec<u8> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(kind).contiguous();
    let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.copy_data_u8(&mut bytes, tensor.numel());
    bytes
}
