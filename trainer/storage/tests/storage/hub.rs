//! Models and data sets of the hub.

use crate::place::{assert_explains, bytes, contents, open, quiet, settings, with_secret};
use std::fs;
use std::sync::Mutex;
use temper_storage::{Kind, Purpose, Settings, blocking};
use temper_test_stores::{COMMIT, Fault, HubServer, SIGNATURE, sha256};

fn model() -> HubServer {
    HubServer::start(&[
        ("config.json", b"{\"model_type\": \"llama\"}".to_vec()),
        ("tokenizer.json", bytes(5000, 1)),
        ("model.safetensors", bytes(300_000, 2)),
        ("pytorch_model.bin", bytes(300_000, 3)),
        ("README.md", b"# A model".to_vec()),
    ])
}

fn against(hub: &HubServer) -> Settings {
    Settings { hub_endpoint: hub.endpoint(), ..settings() }
}

#[test]
fn a_models_files_come_and_the_token_stays_at_home() {
    let hub = model();
    hub.requires("hf_secret");
    let (remote, _secret) = with_secret("hf://o/n", "hf-token", &[("token", "hf_secret\n")]);
    let target = tempfile::tempdir().expect("a folder");
    let told = Mutex::new(Vec::new());
    let on_progress = |done, total| told.lock().expect("sound").push((done, total));
    let fetched = blocking::fetch(&remote, Purpose::Model, target.path(), &against(&hub), &on_progress).expect("fetched");

    let there = contents(target.path());
    assert_eq!(there.keys().collect::<Vec<_>>(), ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(there["model.safetensors"], bytes(300_000, 2));
    assert_eq!(fetched.revision.as_deref(), Some(COMMIT));
    assert_eq!(fetched.files["tokenizer.json"], sha256(&bytes(5000, 1)));
    let skipped: Vec<&str> = fetched.skipped.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(skipped, ["README.md", "pytorch_model.bin"]);
    assert_eq!(told.lock().expect("sound").last(), Some(&(fetched.bytes, fetched.bytes)));

    let at_large_files = hub.seen_at_large_files();
    assert_eq!(at_large_files.len(), 2);
    assert!(at_large_files.iter().all(|seen| seen.authorization.is_none()), "{at_large_files:?}");
    assert!(hub.seen().iter().all(|seen| seen.at_large_files || seen.authorization.as_deref() == Some("Bearer hf_secret")));
    let manifest = fs::read_to_string(target.path().join(".fetch/fetch-manifest.json")).expect("it is written");
    assert!(manifest.contains(COMMIT) && manifest.contains("hf://o/n") && manifest.contains("\"complete\": true"), "{manifest}");
}

#[test]
fn what_is_there_and_still_the_same_is_not_fetched_again() {
    let hub = model();
    let target = tempfile::tempdir().expect("a folder");
    let fetch = || blocking::fetch(&open("hf://o/n"), Purpose::Model, target.path(), &against(&hub), &quiet).expect("fetched");
    assert!(!fetch().reused);
    let before = hub.seen().len();
    let again = fetch();
    assert!(again.reused);
    assert_eq!(hub.seen().len(), before + 1, "only the repository's description is asked for");
    // One file differs: only that one comes.
    hub.replace("model.safetensors", bytes(200_000, 9));
    let third = fetch();
    assert!(!third.reused);
    assert_eq!(hub.seen_at_large_files().iter().filter(|seen| seen.path.ends_with("model.safetensors")).count(), 2);
    assert_eq!(hub.seen_at_large_files().iter().filter(|seen| seen.path.ends_with("tokenizer.json")).count(), 1);
    assert_eq!(contents(target.path())["model.safetensors"], bytes(200_000, 9));
    // A file that somebody removed is missed.
    fs::remove_file(target.path().join("config.json")).expect("removed");
    assert!(!fetch().reused);
    assert!(target.path().join("config.json").is_file());
}

#[test]
fn one_file_of_a_data_set_comes_alone() {
    let hub = HubServer::start(&[("data/rows.jsonl", bytes(2000, 1)), ("data/other.jsonl", bytes(10, 2))]);
    let target = tempfile::tempdir().expect("a folder");
    let fetch = |uri: &str, target: &std::path::Path| blocking::fetch(&open(uri), Purpose::Data, target, &against(&hub), &quiet);
    fetch("hf://datasets/o/n/data/rows.jsonl", target.path()).expect("fetched");
    assert_eq!(contents(target.path()).keys().collect::<Vec<_>>(), ["rows.jsonl"]);
    let whole = tempfile::tempdir().expect("a folder");
    fetch("hf://datasets/o/n@main", whole.path()).expect("fetched");
    assert_eq!(contents(whole.path()).keys().collect::<Vec<_>>(), ["data__other.jsonl", "data__rows.jsonl"]);
}

#[test]
fn refusals_say_what_to_do() {
    let hub = model();
    let fetch = |uri: &str, revision: Option<&str>, keys: &[(&str, &str)]| {
        let (mut remote, _secret) = with_secret(uri, "hf-token", keys);
        remote.revision = revision.map(str::to_owned);
        remote.credentials = remote.credentials.filter(|_| !keys.is_empty());
        let target = tempfile::tempdir().expect("a folder");
        blocking::fetch(&remote, Purpose::Model, target.path(), &against(&hub), &quiet).expect_err("refused")
    };
    let error = fetch("hf://o/other", None, &[]);
    assert_explains(&error, Kind::NotFound, "hf://o/other", "there is no model o/other", "correct OWNER/NAME");
    let error = fetch("hf://o/n", Some("v9"), &[]);
    assert_explains(&error, Kind::NotFound, "hf://o/n", "no revision v9", "a branch, a tag or a commit");
    let error = fetch("hf://o/n/missing.gguf", None, &[]);
    assert_explains(&error, Kind::NotFound, "hf://o/n/missing.gguf", "nothing at missing.gguf", "correct the path");
    let error = fetch("hf://o/n", None, &[("password", "hf_canary")]);
    assert_explains(&error, Kind::Credentials, "hf://o/n", "Secret hf-token has no key token; it has password", "--from-literal=token=");

    hub.requires("hf_right");
    let error = fetch("hf://o/n", None, &[]);
    assert_explains(&error, Kind::Denied, "hf://o/n", "does not exist, or is private or gated", "name a Secret with the key token");
    let error = fetch("hf://o/n", None, &[("token", "hf_canary")]);
    assert_explains(&error, Kind::Credentials, "hf://o/n", "does not accept the token of the Secret hf-token", "put a valid token");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");

    let gated = "X-Error-Code: GatedRepo\r\nX-Error-Message: Access to o/n is restricted\r\n";
    hub.always("/revision/main", Fault::Status(403, gated));
    let error = fetch("hf://o/n", None, &[("token", "hf_right")]);
    assert_explains(&error, Kind::Denied, "hf://o/n", "403: Access to o/n is restricted", "ask for access on the repository's page");
}

#[test]
fn a_redirect_to_a_metadata_server_is_not_followed() {
    let hub = model();
    hub.always("/model.safetensors", Fault::Status(302, "Location: http://169.254.169.254/latest/meta-data?token=canary\r\n"));
    let target = tempfile::tempdir().expect("a folder");
    let error = blocking::fetch(&open("hf://o/n"), Purpose::Model, target.path(), &against(&hub), &quiet).expect_err("refused");
    assert_explains(&error, Kind::Denied, "hf://o/n", "redirects to http://169.254.169.254", "HF_ENDPOINT");
    assert!(!format!("{error:?}").contains("canary") && !format!("{error:?}").contains(SIGNATURE), "{error:?}");
}
