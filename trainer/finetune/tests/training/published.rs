//! What `publish` leaves, as those see it who load it with other libraries.

use crate::job::{Job, read};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use temper_contract::config::Remote;
use temper_contract::{env, layout};
use temper_trainer::kill_point;

/// Publishes a job whose base model has this URI, and returns what its adapter says of the base, and the model card.
fn base_of(job: &mut Job, uri: &str, revision: Option<&str>) -> ([Value; 2], String) {
    job.config.base_model.uri = uri.to_owned();
    // It is on this machine already; only `prepare` would fetch it.
    job.config.base_model.fetch = Some(Remote { uri: uri.to_owned(), revision: revision.map(str::to_owned), credentials: None });
    let _ = fs::remove_dir_all(&job.config.output_folder);
    job.must("publish");
    let config: Value = read(&job.config.output_folder.join("adapter_config.json"));
    let card = fs::read_to_string(job.config.output_folder.join("README.md")).expect("publish leaves a card");
    (["base_model_name_or_path", "revision"].map(|field| config[field].clone()), card)
}

#[test]
fn an_adapter_names_its_base_as_libraries_find_it() {
    let mut job = Job::new();
    job.must("prepare");
    job.must("train");
    let table = [
        ("hf://org/tiny", Some("v1"), json!("org/tiny"), json!("v1")),
        ("hf://org/tiny", None, json!("org/tiny"), Value::Null),
        ("file:///models/tiny", None, json!("/models/tiny"), Value::Null),
    ];
    for (uri, revision, name, named_revision) in table {
        let (base, card) = base_of(&mut job, uri, revision);
        assert!(card.starts_with(&format!("---\nbase_model: {name}\n")) && card.contains(uri), "{card}");
        assert_eq!(base, [name, named_revision], "{uri}");
    }
}

#[test]
fn a_run_killed_while_it_replaces_a_model_loses_neither() {
    let mut job = Job::new();
    job.complete();
    // Another name of the base makes another folder of the same weights.
    job.config.base_model.uri = "file:///models/other".to_owned();
    fs::remove_file(job.config.run_folder.join(layout::PUBLISH_REPORT)).expect("publish leaves it");
    job.variable(env::KILL_AT, format!("group:{}", kill_point::PUBLISH_REPLACING));
    assert_eq!(job.run("publish").code(), -9);
    let base = |folder: &Path| read::<Value>(&folder.join("adapter_config.json"))["base_model_name_or_path"].clone();
    assert_eq!(base(&job.path(".replaced-output")), "/models/tiny");

    job.variables.clear();
    job.must("publish");
    assert_eq!(base(&job.config.output_folder), "/models/other");
    assert!([".replaced-output", ".tmp-output"].iter().all(|name| !job.path(name).exists()), "what was in between is cleared");
}
