//! Computes logits for the reference tests: `logits MODEL IDS.json OUT.safetensors [--adapter FOLDER] [--bf16] [--greedy N]`.
//!
//! IDS.json is a list of lists of token ids. OUT gets `logits.0`, `logits.1`, ... of `[T, V]` in fp32 and, with `--greedy`, prints the ids that greedily
//! continue each list, as JSON.

use std::path::PathBuf;
use temper_artifact::{Dtype, ModelSource, TensorInfo, write};
use temper_contract::config::Precision;
use temper_model::{Model, generate::Sampling};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths = Vec::new();
    let (mut adapter, mut precision, mut greedy) = (None, Precision::Fp32, 0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--adapter" => adapter = arguments.next().map(PathBuf::from),
            "--bf16" => precision = Precision::Bf16,
            "--greedy" => greedy = arguments.next().unwrap_or_default().parse()?,
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    let [model, ids, out] = paths.as_slice() else { return Err("give MODEL IDS.json OUT.safetensors".into()) };
    let source = ModelSource::open(model)?;
    let mut model = Model::load_frozen(&source, adapter.as_deref(), precision, tch::Device::Cpu)?;
    let lists: Vec<Vec<i64>> = serde_json::from_slice(&std::fs::read(ids)?)?;
    let mut tensors = Vec::new();
    let mut continuations = Vec::new();
    for (number, list) in lists.iter().enumerate() {
        let logits = model.logits(list)?.contiguous();
        let shape: Vec<usize> = logits.size().into_iter().map(|extent| extent as usize).collect();
        let mut bytes = vec![0; 4 * logits.numel()];
        logits.copy_data_u8(&mut bytes, logits.numel());
        tensors.push((TensorInfo { name: format!("logits.{number}"), shape, dtype: Dtype::F32 }, bytes));
        if greedy > 0 {
            let prompt: Vec<u32> = list.iter().map(|&id| id as u32).collect();
            continuations.push(model.generate(&prompt, &Sampling::GREEDY, greedy, &[], &mut |_| ())?.token_ids);
        }
    }
    let borrowed: Vec<(TensorInfo, &[u8])> = tensors.iter().map(|(info, bytes)| (info.clone(), bytes.as_slice())).collect();
    write::safetensors(out, &borrowed, &[])?;
    if greedy > 0 {
        println!("{}", serde_json::to_string(&continuations)?);
    }
    Ok(())
}
