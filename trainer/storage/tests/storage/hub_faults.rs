//! Connections that break, servers that are busy, bytes that are wrong.

use crate::place::{assert_explains, bytes, contents, open, quiet, settings};
use temper_storage::{Error, Fetched, Kind, Purpose, Settings, blocking};
use temper_test_stores::{Fault, HubServer};
use tempfile::TempDir;

const LENGTH: usize = 400_000;

fn hub() -> HubServer {
    HubServer::start(&[("config.json", b"{}".to_vec()), ("model.safetensors", bytes(LENGTH, 7))])
}

fn fetch(hub: &HubServer) -> (Result<Fetched, Error>, TempDir) {
    let target = tempfile::tempdir().expect("a folder");
    let settings = Settings { hub_endpoint: hub.endpoint(), ..settings() };
    (blocking::fetch(&open("hf://o/n"), Purpose::Model, target.path(), &settings, &quiet), target)
}

fn assert_whole(target: &TempDir) {
    assert!(contents(target.path())["model.safetensors"] == bytes(LENGTH, 7), "the file differs from the hub's");
}

#[test]
fn a_cut_connection_is_gone_on_from_where_it_was() {
    let hub = hub();
    // More often than a request is tried without progress: each of these brings some.
    for length in [100_000, 50_000, 1, 90_000, 40_000] {
        hub.once("large/model.safetensors", Fault::CutAfter(length));
    }
    let (fetched, target) = fetch(&hub);
    fetched.expect("fetched");
    assert_whole(&target);
    let ranges: Vec<Option<String>> = hub.seen_at_large_files().into_iter().map(|seen| seen.range).collect();
    let from = |byte: u64| Some(format!("bytes={byte}-"));
    assert_eq!(ranges, [None, from(100_000), from(150_000), from(150_001), from(240_001), from(280_001)]);
}

#[test]
fn a_server_that_sends_only_whole_files_is_taken_at_its_word() {
    let hub = hub();
    hub.once("large/model.safetensors", Fault::CutAfter(100_000));
    hub.once("large/model.safetensors", Fault::IgnoreRange);
    let (fetched, target) = fetch(&hub);
    fetched.expect("fetched");
    assert_whole(&target);
}

#[test]
fn a_busy_server_is_asked_again() {
    let hub = hub();
    hub.once("/revision/main", Fault::Status(429, "Retry-After: 0\r\n"));
    hub.once("/revision/main", Fault::Status(503, ""));
    hub.once("large/model.safetensors", Fault::Status(500, ""));
    hub.once("large/model.safetensors", Fault::CutAfter(0));
    hub.once("/config.json", Fault::Status(429, "Retry-After: 0\r\n"));
    let (fetched, target) = fetch(&hub);
    fetched.expect("fetched");
    assert_whole(&target);
}

#[test]
fn a_server_that_stays_busy_is_given_up() {
    for (path, status) in [("/revision/main", 500), ("/revision/main", 429), ("/config.json", 503)] {
        let hub = hub();
        hub.always(path, Fault::Status(status, "Retry-After: 0\r\n"));
        let (fetched, _target) = fetch(&hub);
        let error = fetched.expect_err("given up");
        assert_explains(&error, Kind::Unreachable, "hf://o/n", &format!("fails again and again ({status}"), "try again later");
        assert_eq!(hub.seen().iter().filter(|seen| seen.path.ends_with(path)).count(), 4, "one try and three retries");
    }
}

#[test]
fn nobody_at_the_address_is_said_so() {
    let settings = Settings { hub_endpoint: "http://127.0.0.1:1".to_owned(), ..settings() };
    let target = tempfile::tempdir().expect("a folder");
    let error = blocking::fetch(&open("hf://o/n"), Purpose::Model, target.path(), &settings, &quiet).expect_err("nobody is there");
    assert_explains(&error, Kind::Unreachable, "hf://o/n", "Connection refused", "HF_ENDPOINT");
}

#[test]
fn a_wrong_byte_is_fetched_again_and_then_refused() {
    for name in ["large/model.safetensors", "/config.json"] {
        let hub = hub();
        hub.once(name, Fault::WrongByte);
        let (fetched, target) = fetch(&hub);
        fetched.expect("the second time it is right");
        assert_whole(&target);

        hub.always(name, Fault::WrongByte);
        let (fetched, target) = fetch(&hub);
        let error = fetched.expect_err("refused");
        assert_explains(&error, Kind::Corrupt, "hf://o/n", "its digest is ", "the copy at that place is damaged");
        let file = name.rsplit('/').next().expect("a name");
        assert!(!contents(target.path()).contains_key(file), "a damaged file has no name");
    }
}

#[test]
fn a_folder_that_is_somebodys_is_left_alone() {
    let hub = hub();
    let target = crate::place::folder(&[("thesis.txt", b"mine".to_vec())]);
    let settings = Settings { hub_endpoint: hub.endpoint(), ..settings() };
    let error = blocking::fetch(&open("hf://o/n"), Purpose::Model, target.path(), &settings, &quiet).expect_err("refused");
    let place = target.path().display().to_string();
    assert_explains(&error, Kind::Invalid, &place, "thesis.txt, which was not fetched", "a folder of its own");
    assert_eq!(contents(target.path()).len(), 1);
}
