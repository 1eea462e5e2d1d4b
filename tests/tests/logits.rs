//! Logits and greedy ids beside transformers, on the same weights, in fp32.
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

fn compare(name: &str, model: &Path, expected: &Path) {
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
}

#[test]
fn every_family_agrees_with_transformers() {
    for name in reference::MODELS {
        let folder = reference::models().join(name);
        compare(name, &folder, &folder);
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
