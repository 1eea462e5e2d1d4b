//! SIGKILL in the middle of a file.

use crate::place::{bytes, contents, open, quiet, settings};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use temper_storage::{Purpose, Settings, blocking};
use temper_test_stores::{Fault, HubServer};

const LENGTH: usize = 24 << 20;
const HUB: &str = "TEMPER_TEST_KILL_HUB";
const TARGET: &str = "TEMPER_TEST_KILL_TARGET";

fn fetch(hub: &str, target: &Path) -> Result<temper_storage::Fetched, temper_storage::Error> {
    let settings = Settings { hub_endpoint: hub.to_owned(), ..settings() };
    blocking::fetch(&open("hf://o/n"), Purpose::Model, target, &settings, &quiet)
}

#[test]
#[ignore = "the process that the test below starts and kills"]
fn process_that_is_killed() {
    let variable = |name| std::env::var(name).expect("its parent sets it");
    fetch(&variable(HUB), Path::new(&variable(TARGET))).expect("it is killed before it can fail");
}

#[test]
fn a_killed_fetch_goes_on_in_mid_file() {
    let hub = HubServer::start(&[("config.json", b"{}".to_vec()), ("model.safetensors", bytes(LENGTH, 5))]);
    hub.once("large/model.safetensors", Fault::HoldAfter(LENGTH / 2));
    let target = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("this test's own"))
        .args(["--exact", "kill::process_that_is_killed", "--ignored"])
        .envs([(HUB, hub.endpoint()), (TARGET, target.path().display().to_string())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it is executable");
    hub.wait_until_held();
    let parts = target.path().join(".fetch/parts");
    let part_length = || {
        let entries = std::fs::read_dir(&parts).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).max().unwrap_or(0)
    };
    while part_length() < (LENGTH / 4) as u64 {
        assert!(child.try_wait().expect("it is ours").is_none(), "it ended by itself");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    child.kill().expect("it lives");
    child.wait().expect("it is ours");
    let kept = part_length();

    fetch(&hub.endpoint(), target.path()).expect("goes on");
    assert!(contents(target.path())["model.safetensors"] == bytes(LENGTH, 5), "the file differs from the hub's");
    let ranges: Vec<Option<String>> = hub.seen_at_large_files().into_iter().map(|seen| seen.range).collect();
    assert_eq!(ranges, [None, Some(format!("bytes={kept}-"))]);
}
