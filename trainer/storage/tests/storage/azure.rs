//! Azure Blob Storage.

use crate::place::{assert_explains, bytes, contents, folder, quiet, settings, with_secret};
use crate::s3::writer;
use sha2::{Digest, Sha256};
use temper_contract::config::Remote;
use temper_storage::{Kind, Purpose, blocking};
use temper_test_stores::{AZURE_ACCOUNT, AZURE_KEY, azure, unique};
use tempfile::TempDir;

fn remote(uri: &str, key: &str) -> (Remote, TempDir) {
    let endpoint = format!("{}/{AZURE_ACCOUNT}", azure().url());
    with_secret(uri, "az-keys", &[("accountName", AZURE_ACCOUNT), ("accountKey", key), ("endpoint", &endpoint)])
}

/// A fresh container, made as the protocol has it: a request signed with the account's key.
fn container() -> String {
    let name = format!("container-{}", unique());
    let date = "Thu, 01 Jan 2026 00:00:00 GMT";
    let resource = format!("/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container");
    let to_sign = format!("PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-08-06\n{resource}");
    let signature = base64(&hmac(&debase64(AZURE_KEY), to_sign.as_bytes()));
    let headers = format!("x-ms-date: {date}\r\nx-ms-version: 2021-08-06\r\nAuthorization: SharedKey {AZURE_ACCOUNT}:{signature}\r\n");
    azure().must("PUT", &format!("/{AZURE_ACCOUNT}/{name}?restype=container"), &headers, b"");
    name
}

/// HMAC-SHA256, as in RFC 2104, for keys of at most a block.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

fn debase64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.decode(text).expect("a constant")
}

#[test]
fn a_folder_goes_up_and_comes_back() {
    let (remote, _secret) = remote(&format!("az://{}/models/listings", container()), AZURE_KEY);
    let source = folder(&[("config.json", b"{}".to_vec()), ("model.safetensors", bytes(12 << 20, 1)), ("empty", Vec::new())]);
    let up = blocking::upload(source.path(), &remote, &writer(1), &settings(), &quiet).expect("uploaded");
    assert_eq!(up.sent.len(), 3);
    let target = tempfile::tempdir().expect("a folder");
    let fetch = || blocking::fetch(&remote, Purpose::Everything, target.path(), &settings(), &quiet).expect("fetched");
    assert!(!fetch().reused);
    assert!(contents(target.path()) == contents(source.path()), "what comes back differs from what went up");
    assert!(fetch().reused);
    let again = blocking::upload(source.path(), &remote, &writer(1), &settings(), &quiet).expect("nothing to do");
    assert_eq!(again.there.len(), 3);
    let error = blocking::upload(source.path(), &remote, &writer(0), &settings(), &quiet).expect_err("it is older");
    assert_eq!(error.kind, Kind::Superseded, "{error:?}");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let name = container();
    let fetch = |uri: &str, key: &str| {
        let (remote, _secret) = remote(uri, key);
        let target = tempfile::tempdir().expect("a folder");
        blocking::fetch(&remote, Purpose::Data, target.path(), &settings(), &quiet).expect_err("it is missing")
    };
    let uri = format!("az://{name}/rows.jsonl");
    assert_explains(&fetch(&uri, AZURE_KEY), Kind::NotFound, &uri, "neither an object of that name", "put the files there");
    let error = fetch("az://nowhere/rows.jsonl", AZURE_KEY);
    assert_explains(&error, Kind::NotFound, "az://nowhere/rows.jsonl", "there is no bucket nowhere", "create the bucket");
    let error = fetch(&uri, "d3Jvbmc=");
    // Azurite's word for a wrong signature; Azure's own is AuthenticationFailed.
    assert_explains(
        &error,
        Kind::Denied,
        &uri,
        "denied to the credentials of the Secret az-keys (403",
        "other keys into the Secret az-keys",
    );
    let (lacking, _secret) = with_secret(&uri, "az-keys", &[("accountName", AZURE_ACCOUNT)]);
    let target = tempfile::tempdir().expect("a folder");
    let error = blocking::fetch(&lacking, Purpose::Data, target.path(), &settings(), &quiet).expect_err("there is no key");
    assert_explains(&error, Kind::Credentials, &uri, "has no key accountKey (or sasToken)", "accountKey=...");
}
