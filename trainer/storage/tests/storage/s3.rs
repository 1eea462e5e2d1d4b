//! S3: folders go up and come back, single objects, prefixes, and what is not there.

use crate::place::{assert_explains, bytes, contents, folder, quiet, settings, with_secret};
use crate::proxy::Proxy;
use std::fs;
use temper_contract::config::Remote;
use temper_storage::{Kind, Purpose, Writer, blocking};
use temper_test_stores::{S3_SIGNED, s3, s3_bucket, s3_put, s3_with_users, unique};
use tempfile::TempDir;

/// A place in S3, by way of an address.
pub(crate) fn remote(endpoint: &str, uri: &str) -> (Remote, TempDir) {
    with_secret(
        uri,
        "s3-keys",
        &[("accessKeyId", "AKIACANARY"), ("secretAccessKey", "canary-secret"), ("region", "us-east-1"), ("endpoint", endpoint)],
    )
}

pub(crate) fn writer(attempt: u64) -> Writer {
    Writer { owner: "listings".to_owned(), attempt }
}

#[test]
fn a_folder_goes_up_and_comes_back() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    let proxy = Proxy::start(&s3().address, |_| (), |_| None);
    let (remote, _secret) = remote(&proxy.url(), &format!("s3://{bucket}/models/listings"));
    let files = [("adapter_config.json", b"{}".to_vec()), ("adapter_model.safetensors", bytes(12 << 20, 1)), ("a b/c.txt", b"c".to_vec())];
    let source = folder(&files);
    fs::write(source.path().join(".tmp-1"), "an interrupted write").expect("written");

    let up = blocking::upload(source.path(), &remote, &writer(0), &settings(), &quiet).expect("uploaded");
    assert_eq!((up.sent.len(), up.there.len()), (3, 0));
    let target = tempfile::tempdir().expect("a folder");
    let fetch = || blocking::fetch(&remote, Purpose::Everything, target.path(), &settings(), &quiet).expect("fetched");
    let fetched = fetch();
    let mut there = contents(target.path());
    assert!(there.remove("temper-manifest.json").is_none(), "the commit is the store's, not the folder's");
    assert!(there == contents(source.path()), "what comes back differs from what went up");
    assert_eq!(fetched.bytes, up.bytes);

    let before = proxy.count("GET", "adapter_model.safetensors");
    assert!(fetch().reused);
    assert_eq!(proxy.count("GET", "adapter_model.safetensors"), before, "a folder that is still the same is not fetched again");
    let again = blocking::upload(source.path(), &remote, &writer(0), &settings(), &quiet).expect("nothing to do");
    assert_eq!((again.sent.len(), again.there.len()), (0, 3));

    // Another result takes the place, and what belonged to the first is gone.
    fs::remove_dir_all(source.path().join("a b")).expect("removed");
    fs::write(source.path().join("adapter_config.json"), "{\"r\": 16}").expect("written");
    let third = blocking::upload(source.path(), &remote, &writer(1), &settings(), &quiet).expect("uploaded");
    assert_eq!(third.sent, ["adapter_config.json"]);
    fetch();
    assert!(contents(target.path()) == contents(source.path()), "what comes back differs from what went up");
    assert_eq!(s3().request("GET", &format!("/{bucket}/models/listings/a%20b/c.txt"), S3_SIGNED, b"").0, 404);
}

#[test]
fn one_object_or_a_prefix_is_told_by_what_is_there() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    s3_put(&bucket, "rows.jsonl", b"{}\n");
    s3_put(&bucket, "shards/b.jsonl", b"2\n");
    s3_put(&bucket, "shards/a.jsonl", b"1\n");
    s3_put(&bucket, "shards/more/c.jsonl", b"");
    s3_put(&bucket, "shards-of-another", b"not below the prefix");
    // What a console leaves where somebody makes a folder.
    for marker in ["shards/", "shards/more/", "shards/lonely/"] {
        s3_put(&bucket, marker, b"");
    }
    let table: [(&str, &[(&str, &str)]); 4] = [
        ("rows.jsonl", &[("rows.jsonl", "{}\n")]),
        ("shards", &[("a.jsonl", "1\n"), ("b.jsonl", "2\n"), ("more__c.jsonl", "")]),
        ("shards/", &[("a.jsonl", "1\n"), ("b.jsonl", "2\n"), ("more__c.jsonl", "")]),
        ("shards/more", &[("c.jsonl", "")]),
    ];
    for (path, expected) in table {
        let (remote, _secret) = remote(&s3().url(), &format!("s3://{bucket}/{path}"));
        let target = tempfile::tempdir().expect("a folder");
        let fetch = || blocking::fetch(&remote, Purpose::Data, target.path(), &settings(), &quiet).expect("fetched");
        assert!(!fetch().reused && fetch().reused, "{path}");
        let there = contents(target.path());
        let found: Vec<(&str, &str)> = there.iter().map(|(name, text)| (name.as_str(), std::str::from_utf8(text).expect("text"))).collect();
        assert_eq!(found, expected, "{path}");
    }
    let (empty, _secret) = remote(&s3().url(), &format!("s3://{bucket}/shards/lonely/"));
    let target = tempfile::tempdir().expect("a folder");
    let error = blocking::fetch(&empty, Purpose::Data, target.path(), &settings(), &quiet).expect_err("an empty folder");
    assert_explains(&error, Kind::NotFound, "shards/lonely/", "neither an object of that name nor any below it", "put the files there");
}

#[test]
fn what_is_missing_is_named_with_the_next_step() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    let fetch = |uri: &str, endpoint: &str| {
        let (remote, _secret) = remote(endpoint, uri);
        let target = tempfile::tempdir().expect("a folder");
        blocking::fetch(&remote, Purpose::Data, target.path(), &settings(), &quiet).expect_err("it is missing")
    };
    let key = format!("s3://{bucket}/none.jsonl");
    assert_explains(
        &fetch(&key, &s3().url()),
        Kind::NotFound,
        &key,
        "neither an object of that name nor any below it",
        "put the files there",
    );
    let error = fetch("s3://no-such-bucket/rows.jsonl", &s3().url());
    assert_explains(&error, Kind::NotFound, "s3://no-such-bucket/rows.jsonl", "there is no bucket no-such-bucket", "create the bucket");
    let error = fetch(&key, "http://127.0.0.1:1");
    assert_explains(&error, Kind::Unreachable, &key, "Connection refused", "the Secret's key endpoint");
    let error = fetch(&key, "http://169.254.169.254");
    assert_explains(&error, Kind::Invalid, "the key endpoint of the Secret s3-keys", "link-local", "https://HOST");
    let (target, _secret) = remote(&s3().url(), "s3://no-such-bucket/models");
    let source = folder(&[("a", b"a".to_vec())]);
    let error = blocking::upload(source.path(), &target, &writer(0), &settings(), &quiet).expect_err("there is no bucket");
    assert_explains(&error, Kind::NotFound, "s3://no-such-bucket", "there is no bucket no-such-bucket", "create the bucket");
}

#[test]
fn credentials_that_are_missing_or_wrong_are_told_apart() {
    let (server, id, key) = s3_with_users();
    let url = server.url();
    let upload = |keys: &[(&str, &str)]| {
        let (remote, _secret) = with_secret("s3://guarded/a", "s3-keys", keys);
        let source = folder(&[("rows.jsonl", b"{}\n".to_vec())]);
        blocking::upload(source.path(), &remote, &writer(0), &settings(), &quiet)
    };
    let place = [("region", "us-east-1"), ("endpoint", url.as_str())];
    let with = |keys: &[(&'static str, &str)]| upload(&keys.iter().copied().chain(place).collect::<Vec<_>>());
    with(&[("accessKeyId", id), ("secretAccessKey", key)]).expect("the right keys");
    with(&[("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", key)]).expect("the right keys by their other names");
    let error = with(&[("accessKeyId", id), ("secretAccessKey", "canary-wrong-key")]).expect_err("the wrong key");
    assert_explains(
        &error,
        Kind::Credentials,
        "s3://guarded/a",
        "the credentials of the Secret s3-keys",
        "valid keys into the Secret s3-keys",
    );
    assert!(!format!("{error:?}").contains("canary") && !format!("{error:?}").contains(key.as_str()), "{error:?}");
    let error = with(&[("accessKeyId", id)]).expect_err("half of the keys");
    assert_explains(&error, Kind::Credentials, "s3://guarded/a", "has no key secretAccessKey; it has accessKeyId", "secretAccessKey=...");
    let error = upload(&[]).expect_err("no Secret");
    assert_explains(
        &error,
        Kind::Credentials,
        "s3://guarded/a",
        "the Secret s3-keys is not there",
        "kubectl create secret generic s3-keys",
    );
}
