//! Logits and greedy ids beside transformers, on the same weights, in fp32, whichever file they are read from.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::path::Path;
use temper_artifact::ModelSource;
use temper_contract::config::Precision;
use temper_model::Model;
use temper_model::generate::Sampling;
use temper_tests::reference;
use temper_tests::tensors::{read, relative_difference};

/// The most that two fp32 evaluations of the same function may differ by here.
const TOLERANCE: f32 = 1e-4;

/// Compares the model with what transformers made of it, and returns its logits.
fn compare(name: &str, model: &Path, expected: &Path) -> Vec<f32> {
    let source = ModelSource::open(model).unwrap();
    let mut model = Model::load_frozen(&source, None, Precision::Fp32, tch::Device::Cpu).unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(expected.join("expected.json")).unwrap()).unwrap();
    let ids: Vec<i64> = facts["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
    let greedy: Vec<u32> = facts["greedy"].as_array().unwrap().iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect();

    let logits = Vec::<f32>::try_from(model.logits(&ids).unwrap().contiguous().view(-1)).unwrap();
    let difference = relative_difference(&logits, &read(&expected.join("logits.safetensors"), "logits"));
    assert!(difference <= TOLERANCE, "{name}: logits differ by {difference:e} of the largest");

    let prompt_length = if name == "smollm2" { ids.len() } else { 8 };
    let prompt: Vec<u32> = ids[..prompt_length].iter().map(|&id| u32::try_from(id).unwrap()).collect();
    let answer = model.generate(&prompt, &Sampling::GREEDY, greedy.len(), &[], &mut |_| ()).unwrap();
    assert_eq!(answer.token_ids, greedy, "{name}: greedy ids");
    logits
}

#[test]
fn every_family_agrees_with_transformers() {
    for name in reference::MODELS {
        let folder = reference::models().join(name);
        compare(name, &folder, &folder);
    }
}

/// Every family but the one with a window in some layers only: no key of a GGUF file says that.
#[test]
fn a_gguf_file_of_every_family_computes_what_its_safetensors_do() {
    let folder = tempfile::tempdir().unwrap();
    for name in reference::MODELS.into_iter().filter(|&name| name != "qwen2-window") {
        let (weights, file) = (reference::models().join(name), folder.path().join(format!("{name}.gguf")));
        reference::run("safetensors_to_gguf.py", [&weights, &file]);
        let (from_gguf, from_safetensors) = (ModelSource::open(&file).unwrap(), ModelSource::open(&weights).unwrap());
        assert_eq!(from_gguf.tensors(), from_safetensors.tensors(), "{name}");
        for tensor in from_safetensors.tensors() {
            let values = |source: &ModelSource| source.tensor(&tensor.name).unwrap().to_f32();
            assert!(values(&from_gguf) == values(&from_safetensors), "{name}: {} differs", tensor.name);
        }
        let logits = compare(name, &file, &weights);
        let difference = relative_difference(&logits, &compare(name, &weights, &weights));
        // The file has Llama 3's rotary factors in fp32, the folder what they are computed from.
        let tolerance = if name == "llama-rope3" { 1e-5 } else { 0.0 };
        assert!(difference <= tolerance, "{name}: logits differ by {difference:e} of the largest");
    }
}

#[test]
fn smollm2_from_gguf_agrees_with_transformers() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("weights");
    reference::run("gguf_to_safetensors.py", [reference::smollm2(), weights.clone()]);
    let ids = "[1, 504, 2365, 6354, 16438, 690, 260, 23790, 3087, 28, 284, 260, 1197, 30, 42, 314]";
    reference::run("smollm2_expected.py", [weights.as_os_str(), ids.as_ref(), folder.path().as_os_str()]);
    compare("smollm2", &reference::smollm2(), folder.path());
}
