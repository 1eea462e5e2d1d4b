//! S3 when things go wrong on the way, and when two write to the same place.

use crate::place::{assert_explains, bytes, contents, folder, quiet, settings};
use crate::proxy::{Fault, Passed, Proxy};
use crate::s3::{remote, writer};
use std::sync::atomic::{AtomicU32, Ordering};
use temper_storage::{Error, Fetched, Kind, Purpose, blocking};
use temper_test_stores::{S3_SIGNED, s3, s3_bucket, s3_put, unique};
use tempfile::TempDir;

const LENGTH: usize = 300_000;

fn fetch(endpoint: &str, uri: &str) -> (Result<Fetched, Error>, TempDir) {
    let (remote, _secret) = remote(endpoint, uri);
    let target = tempfile::tempdir().expect("a folder");
    (blocking::fetch(&remote, Purpose::Data, target.path(), &settings(), &quiet), target)
}

fn is_get(passed: &Passed) -> bool {
    passed.method == "GET" && passed.path.ends_with("rows.jsonl")
}

#[test]
fn a_cut_connection_is_gone_on_from_where_it_was() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    s3_put(&bucket, "rows.jsonl", &bytes(LENGTH, 1));
    let cuts = AtomicU32::new(0);
    let cut = move |passed: &Passed| (is_get(passed) && cuts.fetch_add(1, Ordering::Relaxed) < 6).then_some(Fault::CutAfter(40_000));
    let proxy = Proxy::start(&s3().address, |_| (), cut);
    let (fetched, target) = fetch(&proxy.url(), &format!("s3://{bucket}/rows.jsonl"));
    fetched.expect("fetched");
    assert!(contents(target.path())["rows.jsonl"] == bytes(LENGTH, 1), "the file differs from the store's");
    let starts: Vec<String> = proxy.passed().iter().filter(|passed| is_get(passed)).filter_map(|passed| passed.range.clone()).collect();
    assert_eq!(starts.len(), 6);
    assert!(starts.iter().enumerate().all(|(at, range)| range.starts_with(&format!("bytes={}-", 40_000 * (at + 1)))), "{starts:?}");
}

#[test]
fn an_object_that_changes_while_it_is_read_begins_anew() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    s3_put(&bucket, "rows.jsonl", &bytes(LENGTH, 1));
    let (name, changes) = (bucket.clone(), AtomicU32::new(0));
    let change = move |passed: &Passed| {
        let is_first = is_get(passed) && changes.fetch_add(1, Ordering::Relaxed) == 0;
        is_first.then(|| {
            s3_put(&name, "rows.jsonl", &bytes(LENGTH + 5, 2));
            Fault::CutAfter(100_000)
        })
    };
    let proxy = Proxy::start(&s3().address, |_| (), change);
    let (fetched, target) = fetch(&proxy.url(), &format!("s3://{bucket}/rows.jsonl"));
    fetched.expect("fetched");
    assert!(contents(target.path())["rows.jsonl"] == bytes(LENGTH + 5, 2), "no byte of the old object is in the new file");

    // One that never stays as it is is given up.
    let name = bucket.clone();
    let change = move |passed: &Passed| {
        is_get(passed).then(|| {
            s3_put(&name, "rows.jsonl", &bytes(LENGTH, unique()));
            Fault::CutAfter(100_000)
        })
    };
    let proxy = Proxy::start(&s3().address, |_| (), change);
    let (fetched, target) = fetch(&proxy.url(), &format!("s3://{bucket}/rows.jsonl"));
    let error = fetched.expect_err("given up");
    assert_explains(&error, Kind::Corrupt, &bucket, "it changes again and again", "wait until whoever writes it is done");
    assert!(contents(target.path()).is_empty());
}

#[test]
fn a_wrong_byte_is_refused() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    // Put by another tool: its MD5 is all that is known of it.
    s3_put(&bucket, "rows.jsonl", &bytes(LENGTH, 1));
    let proxy = Proxy::start(&s3().address, |_| (), |passed| is_get(passed).then_some(Fault::WrongByte));
    let (fetched, target) = fetch(&proxy.url(), &format!("s3://{bucket}/rows.jsonl"));
    assert_explains(&fetched.expect_err("refused"), Kind::Corrupt, &bucket, "its digest is md5", "damaged");
    assert!(contents(target.path()).is_empty(), "a damaged file has no name");
    assert_eq!(proxy.count("GET", "rows.jsonl"), 2, "once more, and then no more");

    // Uploaded by Temper: its SHA-256 is kept with it.
    let (place, _secret) = remote(&s3().url(), &format!("s3://{bucket}/up"));
    let source = folder(&[("rows.jsonl", bytes(LENGTH, 3))]);
    blocking::upload(source.path(), &place, &writer(0), &settings(), &quiet).expect("uploaded");
    for uri in [format!("s3://{bucket}/up"), format!("s3://{bucket}/up/rows.jsonl")] {
        let (fetched, _target) = fetch(&proxy.url(), &uri);
        assert_explains(&fetched.expect_err("refused"), Kind::Corrupt, &bucket, "its digest is sha256", "damaged");
    }
}

#[test]
fn a_busy_server_is_asked_again_and_then_given_up() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    s3_put(&bucket, "rows.jsonl", &bytes(LENGTH, 1));
    let uri = format!("s3://{bucket}/rows.jsonl");
    for status in [429, 503] {
        let faults = AtomicU32::new(0);
        let busy = move |_: &Passed| faults.fetch_add(1, Ordering::Relaxed).is_multiple_of(2).then_some(Fault::Status(status));
        let (fetched, target) = fetch(&Proxy::start(&s3().address, |_| (), busy).url(), &uri);
        fetched.expect("every other request goes through");
        assert!(contents(target.path())["rows.jsonl"] == bytes(LENGTH, 1), "the file differs from the store's");
        let (fetched, _target) = fetch(&Proxy::start(&s3().address, |_| (), move |_| Some(Fault::Status(status))).url(), &uri);
        assert_explains(&fetched.expect_err("given up"), Kind::Unreachable, &uri, &format!("({status})"), "try again later");
    }
}

#[test]
fn an_upload_goes_on_where_it_was_cut() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    let uri = format!("s3://{bucket}/models");
    let source = folder(&[("a.safetensors", bytes(LENGTH, 1)), ("b.safetensors", bytes(LENGTH, 2))]);
    // The second file and all that follows fail.
    let refuse = |passed: &Passed| (passed.method == "PUT" && !passed.path.ends_with("a.safetensors")).then_some(Fault::Status(500));
    let proxy = Proxy::start(&s3().address, |_| (), refuse);
    let (place, _secret) = remote(&proxy.url(), &uri);
    let one_at_a_time = temper_storage::Settings { concurrency: 1, ..settings() };
    let error = blocking::upload(source.path(), &place, &writer(0), &one_at_a_time, &quiet).expect_err("it is cut");
    assert_explains(&error, Kind::Unreachable, "b.safetensors", "(500)", "try again later");
    // Without a commit nothing of it is taken for an upload of Temper's, and what is there is not sent again.
    let (place, _secret) = remote(&s3().url(), &uri);
    let up = blocking::upload(source.path(), &place, &writer(1), &settings(), &quiet).expect("goes on");
    assert!(up.there.contains(&"a.safetensors".to_owned()), "{up:?}");
    let (fetched, target) = fetch(&s3().url(), &uri);
    fetched.expect("fetched");
    assert!(contents(target.path()) == contents(source.path()), "what comes back differs from what went up");
}

#[test]
fn a_lower_attempt_does_not_replace_a_higher_one() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    let uri = format!("s3://{bucket}/models");
    let (place, _secret) = remote(&s3().url(), &uri);
    let (newer, older) = (folder(&[("a", b"newer".to_vec())]), folder(&[("a", b"older".to_vec())]));
    blocking::upload(newer.path(), &place, &writer(2), &settings(), &quiet).expect("uploaded");
    let error = blocking::upload(older.path(), &place, &writer(1), &settings(), &quiet).expect_err("it is older");
    assert_explains(&error, Kind::Superseded, &uri, "attempt 2 has written there already, and this is attempt 1", "stands");
    let (fetched, target) = fetch(&s3().url(), &uri);
    fetched.expect("fetched");
    assert_eq!(contents(target.path())["a"], b"newer");
    // Another run's upload takes the place, whatever its attempt.
    let other = temper_storage::Writer { owner: "another".to_owned(), attempt: 0 };
    blocking::upload(older.path(), &place, &other, &settings(), &quiet).expect("uploaded");
}

#[test]
fn an_older_attempt_that_commits_late_gives_way() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    let uri = format!("s3://{bucket}/models");
    let files = folder(&[("a", b"the same training gives the same bytes".to_vec())]);
    // While the older attempt is about to commit, the newer one does.
    let (late_uri, path, commits) = (uri.clone(), files.path().to_owned(), AtomicU32::new(0));
    let overtake = move |passed: &Passed| {
        let is_commit = passed.method == "PUT" && passed.path.ends_with("temper-manifest.json");
        if is_commit && commits.fetch_add(1, Ordering::Relaxed) == 0 {
            let (place, _secret) = remote(&s3().url(), &late_uri);
            blocking::upload(&path, &place, &writer(2), &settings(), &quiet).expect("the newer one commits");
        }
    };
    let proxy = Proxy::start(&s3().address, overtake, |_| None);
    let (place, _secret) = remote(&proxy.url(), &uri);
    let error = blocking::upload(files.path(), &place, &writer(1), &settings(), &quiet).expect_err("it is older");
    assert_eq!(error.kind, Kind::Superseded, "{error:?}");
    let commit = s3_text(&bucket, "models/temper-manifest.json");
    assert!(commit.contains("\"attempt\": 2"), "{commit}");
}

#[test]
fn an_upload_with_a_missing_or_changed_file_is_not_taken() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    let uri = format!("s3://{bucket}/models");
    let (place, _secret) = remote(&s3().url(), &uri);
    let source = folder(&[("a", b"aaaa".to_vec()), ("b", b"bbbb".to_vec())]);
    blocking::upload(source.path(), &place, &writer(0), &settings(), &quiet).expect("uploaded");
    s3_put(&bucket, "models/a", b"of another length");
    let (fetched, _target) = fetch(&s3().url(), &uri);
    assert_explains(&fetched.expect_err("refused"), Kind::Corrupt, &uri, "a has 17 bytes instead of the 4", "damaged");
    s3_put(&bucket, "models/a", b"xxxx");
    let (fetched, _target) = fetch(&s3().url(), &uri);
    assert_explains(&fetched.expect_err("refused"), Kind::Corrupt, &uri, "its digest is sha256", "damaged");
    // The next upload mends it.
    blocking::upload(source.path(), &place, &writer(0), &settings(), &quiet).expect("uploaded");
    let (fetched, target) = fetch(&s3().url(), &uri);
    fetched.expect("fetched");
    assert!(contents(target.path()) == contents(source.path()), "what comes back differs from what went up");
}

fn s3_text(bucket: &str, key: &str) -> String {
    s3().must("GET", &format!("/{bucket}/{key}"), S3_SIGNED, b"")
}
