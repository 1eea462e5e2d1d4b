//! Where a job's files are.

use crate::example::{self, Example, with};
use serde_json::json;
use std::path::Path;
use temper_objects::places::Access::{self, Read, Write};
use temper_objects::{Places, trainer_config};
use temper_planner::Stage;

fn places(example: &Example) -> Places {
    Places::of(&example.job, &example.owner)
}

fn claims(places: &Places) -> [Vec<(&str, Access)>; 3] {
    [Stage::Prepare, Stage::Train, Stage::Publish].map(|stage| places.claims(stage).collect())
}

#[test]
fn a_job_without_a_claim_for_checkpoints_has_its_own() {
    let places = places(&example::small());
    assert_eq!(places.run_claim(), Some("tiny-run"));
    assert_eq!(places.run(), Path::new("/volumes/tiny-run/tiny-0b5e7ac4"));
    assert_eq!(places.checkpoint_uri(1, 40), "pvc://tiny-run/tiny-0b5e7ac4/checkpoints/attempt-1/step-00000040");
    assert_eq!(places.model_uri(), "pvc://models/tuned/tiny-0b5e7ac4");
    let folders = places.folders();
    assert_eq!(folders.base_model, Path::new("/volumes/models/tiny.gguf"));
    assert_eq!(folders.dataset, Path::new("/volumes/data/rows.jsonl"));
    assert_eq!(folders.output, Path::new("/volumes/models/tuned/tiny-0b5e7ac4"));
    assert_eq!(
        claims(&places),
        [
            vec![("data", Read), ("models", Read), ("tiny-run", Write)],
            vec![("models", Read), ("tiny-run", Write)],
            vec![("models", Write), ("tiny-run", Write)],
        ]
    );
}

#[test]
fn a_claim_for_checkpoints_holds_the_whole_run() {
    let example = with(&[("checkpoint", json!({ "storageUri": "pvc://ckpts" })), ("output", json!({}))]);
    let places = places(&example);
    assert_eq!(places.run_claim(), None);
    assert_eq!(places.run(), Path::new("/volumes/ckpts/tiny-0b5e7ac4"));
    assert_eq!(places.folders().checkpoints, Path::new("/volumes/ckpts/tiny-0b5e7ac4/checkpoints"));
    assert_eq!(places.model_uri(), "pvc://ckpts/tiny-0b5e7ac4/output");
    assert_eq!(places.folders().output, Path::new("/volumes/ckpts/tiny-0b5e7ac4/output"));
}

#[test]
fn one_claim_for_everything_is_mounted_once_and_written_to() {
    let example = with(&[
        ("dataset", json!({ "storageUri": "pvc://models/rows.jsonl", "format": "text" })),
        ("checkpoint", json!({ "storageUri": "pvc://models/ckpts/" })),
    ]);
    let places = places(&example);
    assert_eq!(claims(&places), [vec![("models", Write)], vec![("models", Write)], vec![("models", Write)]]);
    assert_eq!(places.run(), Path::new("/volumes/models/ckpts/tiny-0b5e7ac4"));
}

#[test]
fn what_is_elsewhere_is_fetched_into_the_run_and_sent_to_a_folder_of_the_job() {
    let example = example::remote();
    let places = places(&example);
    let folders = places.folders();
    assert_eq!(folders.base_model, Path::new("/volumes/tiny-run/tiny-0b5e7ac4/inputs/base-model"));
    assert_eq!(folders.dataset, Path::new("/volumes/tiny-run/tiny-0b5e7ac4/inputs/dataset"));
    assert_eq!(folders.validation.as_deref(), Some(Path::new("/volumes/tiny-run/tiny-0b5e7ac4/inputs/validation")));
    assert_eq!(folders.output, Path::new("/volumes/tiny-run/tiny-0b5e7ac4/output"));
    assert_eq!(places.checkpoint_uri(0, 5), "az://checkpoints/team/tiny-0b5e7ac4/attempt-0/step-00000005");
    assert_eq!(places.model_uri(), "s3://models/tuned/tiny-0b5e7ac4");
    assert_eq!(claims(&places), [vec![("tiny-run", Write)], vec![("tiny-run", Write)], vec![("tiny-run", Write)]]);

    let config = serde_json::to_value(trainer_config(&example.job, &example.owner, 7)).expect("plain data");
    let fetch =
        json!({ "uri": "hf://org/model", "revision": "v1", "credentials": { "secret": "hf-token", "folder": "/secrets/hf-token" } });
    assert_eq!(config["baseModel"]["fetch"], fetch);
    assert_eq!(config["dataset"]["fetchValidation"]["uri"], "gs://data/held-out.jsonl");
    assert_eq!(config["checkpoint"]["mirror"]["uri"], "az://checkpoints/team/tiny-0b5e7ac4");
    assert_eq!(config["output"]["upload"]["uri"], "s3://models/tuned/tiny-0b5e7ac4");
    assert_eq!(config["failure"]["maxRestarts"], 7);
}

#[test]
fn publishing_opens_the_checkpoints_store_as_well_as_the_outputs() {
    let places = places(&example::remote());
    let of = |stage| places.secrets(stage).collect::<Vec<_>>();
    assert_eq!(of(Stage::Publish), ["az-key", "s3-key"], "it may have to bring the final checkpoint back");
    assert_eq!(of(Stage::Train), ["az-key"]);
}

#[test]
fn a_secret_beside_a_claim_is_not_mounted() {
    let example = with(&[("baseModel", json!({ "storageUri": "pvc://models/tiny.gguf", "secretRef": { "name": "unused" } }))]);
    assert_eq!(places(&example).secrets(Stage::Prepare).count(), 0);
}
