//! `temper run` of a job whose model is on a hub and whose data, checkpoints and result are in a bucket.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use serde_json::json;
use std::fs;
use temper_test_stores::{HubServer, S3_SIGNED, s3, s3_bucket, s3_put, unique};
use temper_tests::job::write_rows;
use temper_tests::reference;
use temper_tests::run::Place;

const TOKEN: &str = "hf_canary_of_a_local_run";

fn hub() -> HubServer {
    let folder = reference::models().join("llama");
    let files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
    let hub = HubServer::start(&files);
    hub.requires(TOKEN);
    hub
}

/// A bucket with the rows that [`Place::new`] writes.
fn bucket() -> String {
    let bucket = s3_bucket(&format!("local-{}", unique()));
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    write_rows(&rows, 60);
    s3_put(&bucket, "data/rows.jsonl", &fs::read(rows).unwrap());
    bucket
}

fn remote(hub: &HubServer, bucket: &str) -> Place {
    let keys = json!({"name": "s3-keys"});
    let place = Place::new(|spec| {
        spec["baseModel"] = json!({"storageUri": "hf://o/n", "revision": "main", "secretRef": {"name": "hub-token"}});
        spec["dataset"]["storageUri"] = format!("s3://{bucket}/data/rows.jsonl").into();
        spec["dataset"]["secretRef"] = keys.clone();
        spec["checkpoint"]["storageUri"] = format!("s3://{bucket}/checkpoints").into();
        spec["checkpoint"]["secretRef"] = keys.clone();
        spec["output"]["storageUri"] = format!("s3://{bucket}/models").into();
        spec["output"]["secretRef"] = keys;
    });
    place.with_variable("HF_ENDPOINT", &hub.endpoint())
}

#[test]
fn what_lies_elsewhere_trains_the_same_model_and_the_result_is_sent_there() {
    let (hub, bucket) = (hub(), bucket());
    let endpoint = s3().url();
    let place = remote(&hub, &bucket).with_secret("hub-token", &[("token", TOKEN)]).with_secret(
        "s3-keys",
        &[("accessKeyId", "AKIALOCAL"), ("secretAccessKey", "canary-of-a-local-run"), ("region", "us-east-1"), ("endpoint", &endpoint)],
    );
    let here = Place::new(|_| ());
    here.complete();
    let (success, printed) = place.run(None);
    assert!(success, "{printed}");
    assert!(place.adapter() == here.adapter(), "the adapters differ");
    assert!(printed.contains(&format!("s3://{bucket}/models/sentences-")), "it says where the model went:\n{printed}");
    assert!(!printed.contains(TOKEN) && !printed.contains("canary-of-a-local-run"), "{printed}");

    let listed = s3().must("GET", &format!("/{bucket}?list-type=2"), S3_SIGNED, b"");
    for end in ["/adapter_model.safetensors</Key>", "/temper-manifest.json</Key>"] {
        let sent = listed.split("<Key>").filter(|key| key.starts_with("models/sentences-") && key.contains(end)).count();
        assert_eq!(sent, 1, "{end}: {listed}");
    }
    assert!(listed.contains("<Key>checkpoints/sentences-"), "{listed}");

    let asked = hub.seen().len();
    let (success, printed) = place.run(None);
    assert!(success && printed.contains("already complete"), "{printed}");
    assert_eq!(hub.seen().len(), asked, "a finished job fetches nothing");
}

#[test]
fn a_secret_that_nothing_stands_in_for_is_named_with_the_flag_to_add() {
    let hub = hub();
    let (success, printed) = remote(&hub, "bucket").with_secret("hub-token", &[("token", TOKEN)]).run(None);
    assert!(!success, "{printed}");
    assert!(printed.contains("spec.dataset.secretRef.name") && printed.contains("--secret s3-keys=FOLDER"), "{printed}");
    assert!(hub.seen().is_empty(), "nothing is fetched for a job that is refused");
}
