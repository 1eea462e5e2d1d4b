//! Google Cloud Storage.

use crate::place::{assert_explains, bytes, contents, folder, quiet, settings, with_secret};
use crate::proxy::{Passed, Proxy, Translation};
use crate::s3::writer;
use std::sync::OnceLock;
use temper_contract::config::Remote;
use temper_storage::{Kind, Purpose, Settings, blocking};
use temper_test_stores::{google, unique};
use tempfile::TempDir;

/// The emulator takes writes by the JSON API only, and `object_store` writes by the XML API: `PUT /BUCKET/KEY`.
static WRITES: Translation = Translation {
    target: |passed, header| {
        let key = passed.path.splitn(3, '/').nth(2).filter(|_| passed.method == "PUT")?;
        let condition = header("x-goog-if-generation-match").map(|generation| format!("&ifGenerationMatch={generation}"));
        Some(format!("{}?uploadType=media&name={key}{}", passed.path, condition.unwrap_or_default()))
    },
    headers: |passed: &Passed, response: &str| {
        let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let object: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let text = |name: &str| object.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        match (passed.method.as_str(), text("etag"), text("generation")) {
            ("PUT", Some(tag), Some(generation)) => format!("ETag: \"{tag}\"\r\nx-goog-generation: {generation}\r\n"),
            _ => String::new(),
        }
    },
};

fn address() -> String {
    static PROXY: OnceLock<Proxy> = OnceLock::new();
    PROXY.get_or_init(|| Proxy::translate(&google().address, Some(&WRITES), |_| (), |_| None)).url()
}

/// A service account as the emulator has it: no tokens, and its own address.
fn remote(uri: &str) -> (Remote, TempDir) {
    let key = serde_json::json!({
        "type": "service_account", "client_email": "a@b", "private_key": "canary-private-key", "private_key_id": "1",
        "gcs_base_url": address(), "disable_oauth": true,
    });
    with_secret(uri, "gs-key", &[("serviceAccount", &key.to_string())])
}

/// The emulator takes no uploads in parts by the protocol that is used.
fn in_one_part() -> Settings {
    Settings { part_size: 32 << 20, ..settings() }
}

fn bucket() -> String {
    let name = format!("bucket-{}", unique());
    google().must("POST", "/storage/v1/b", "Content-Type: application/json\r\n", format!("{{\"name\": \"{name}\"}}").as_bytes());
    name
}

#[test]
fn a_folder_goes_up_and_comes_back() {
    let (remote, _secret) = remote(&format!("gs://{}/models/listings", bucket()));
    let source = folder(&[("config.json", b"{}".to_vec()), ("model.safetensors", bytes(3 << 20, 1))]);
    blocking::upload(source.path(), &remote, &writer(1), &in_one_part(), &quiet).expect("uploaded");
    let target = tempfile::tempdir().expect("a folder");
    let fetch = || blocking::fetch(&remote, Purpose::Everything, target.path(), &settings(), &quiet).expect("fetched");
    assert!(!fetch().reused);
    assert!(contents(target.path()) == contents(source.path()), "what comes back differs from what went up");
    assert!(fetch().reused);
    let error = blocking::upload(source.path(), &remote, &writer(0), &in_one_part(), &quiet).expect_err("it is older");
    assert_eq!(error.kind, Kind::Superseded, "{error:?}");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let name = bucket();
    let fetch = |remote: &Remote| {
        let target = tempfile::tempdir().expect("a folder");
        blocking::fetch(remote, Purpose::Data, target.path(), &settings(), &quiet).expect_err("it is missing")
    };
    let uri = format!("gs://{name}/rows.jsonl");
    let (missing, secret) = remote(&uri);
    drop(secret);
    assert_explains(&fetch(&missing), Kind::Credentials, &uri, "the Secret gs-key is not there", "--from-file=serviceAccount");
    let (there, _secret) = remote(&uri);
    assert_explains(&fetch(&there), Kind::NotFound, &uri, "neither an object of that name", "put the files there");
    // The emulator's answer for a bucket that is not there, where Google's own is 404 NoSuchBucket.
    let (nowhere, _secret) = remote("gs://nowhere/rows.jsonl");
    assert_explains(&fetch(&nowhere), Kind::Unreachable, "gs://nowhere/rows.jsonl", "no bucket named nowhere", "look at the server");
    let (damaged, _secret) = with_secret(&uri, "gs-key", &[("serviceAccount", "{\"private_key\": canary")]);
    let error = fetch(&damaged);
    assert_explains(&error, Kind::Credentials, &uri, "JSON in the Secret gs-key cannot be used", "valid values");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}
