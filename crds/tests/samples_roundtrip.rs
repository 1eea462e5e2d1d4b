//! The samples are valid, and nothing in them is lost on the way through the types.

use serde_json::Value;
use std::path::{Path, PathBuf};
use temper_crds::{Resource, parse_manifest};

fn samples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/samples");
    let mut found = Vec::new();
    for folder in [root.clone(), root.join("quickstart"), root.join("reference")] {
        for entry in std::fs::read_dir(folder).expect("the folder of samples") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                found.push(path);
            }
        }
    }
    assert!(found.len() >= 3, "{found:?}");
    found
}

/// Everything in `part` is in `whole` with the same value; nulls are as good as absent.
fn assert_contains(whole: &Value, part: &Value, path: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part.iter().filter(|(_, value)| !value.is_null()) {
                assert_contains(whole.get(name).unwrap_or(&Value::Null), value, &format!("{path}.{name}"));
            }
        }
        (Value::Array(whole), Value::Array(part)) if whole.len() == part.len() => {
            whole.iter().zip(part).for_each(|(whole, part)| assert_contains(whole, part, path));
        }
        _ => assert_eq!(whole, part, "{path}"),
    }
}

#[test]
fn samples_parse_and_serialise_back() {
    for path in samples() {
        let text = std::fs::read_to_string(&path).expect("a sample");
        let manifests = parse_manifest(&text).unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
        let written: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        assert_eq!(manifests.len(), written.len());
        for (manifest, written) in manifests.iter().zip(&written) {
            let json = match &manifest.resource {
                Resource::FineTuneJob(job) => serde_json::to_value(job),
                Resource::ModelVersion(version) => serde_json::to_value(version),
            };
            let json = json.expect("plain data");
            assert_contains(&json, written, &path.display().to_string());
            let yaml = serde_saphyr::to_string(&json).expect("plain data");
            let again = parse_manifest(&yaml).unwrap_or_else(|error| panic!("{}:\n{error}", path.display()));
            assert_eq!(again[0].resource, manifest.resource);
        }
    }
}

/// The full sample is the documentation of the API, so no field may be missing from it.
#[test]
fn the_full_sample_has_every_field_of_the_spec() {
    let text = include_str!("../../deploy/samples/reference/finetunejob.yaml");
    let written: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    let crd = temper_crds::crd::fine_tune_job();
    let mut missing = Vec::new();
    absent(&temper_crds::crd::schema(&crd)["properties"]["spec"], &written[0]["spec"], "spec", &mut missing);
    // Of fields that exclude each other the sample has one; Kubernetes' own shapes are not repeated in full.
    missing.retain(|path| path != "spec.dataset.validation.storageUri" && !path.starts_with("spec.trainer.tolerations"));
    missing.retain(|path| !path.ends_with(".secretRef"));
    assert_eq!(missing, Vec::<String>::new());
}

fn absent(schema: &Value, value: &Value, path: &str, missing: &mut Vec<String>) {
    if let Some(item) = value.as_array().and_then(|items| items.first()) {
        return absent(&schema["items"], item, path, missing);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match value.get(name) {
            None => missing.push(path),
            Some(value) => absent(schema, value, &path, missing),
        }
    }
}
