//! In a pod: a read-only root, a user that no file knows, no capabilities, and only the run's folder to write in.

use crate::job::{Job, PATIENCE, Running, send};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use temper_c10d::Store;
use temper_contract::{Event, env, metric};

/// Mounts everything read-only but the job's folder, then becomes user 65532 without any capability.
const CONFINE: &str = r#"
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro /
! touch "$1/../outside" 2>/dev/null
shift
exec unshare --user --map-user=65532 --map-group=65532 setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"#;

fn confined(job: &Job, stage: &str) -> Command {
    let stage = job.command(stage);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--"]).args(["bash", "-c", CONFINE, "confine"]).arg(job.folder.path());
    command.arg(stage.get_program()).args(stage.get_args());
    job.isolate(&mut command);
    command.env("HOME", "/tmp").env_remove("TMPDIR").env_remove("USER").env_remove("LOGNAME");
    command
}

#[test]
fn a_job_needs_nothing_but_its_folder() {
    let job = Job::new().ranks(2);
    for stage in ["prepare", "train", "publish"] {
        let outcome = Running::start(confined(&job, stage)).finish();
        assert_eq!(outcome.code(), 0, "{stage}\n{}", outcome.log);
    }
    let reference = Job::new().ranks(2);
    reference.complete();
    assert_eq!(job.adapter(), reference.adapter());
}

/// What the volume's group may not read, other pods of the job's group cannot use.
fn unreadable_for_the_group(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let (path, mode) = (entry.path(), entry.metadata().expect("there").permissions().mode());
        let wanted = if path.is_dir() { 0o050 } else { 0o040 };
        if mode & wanted != wanted {
            found.push(format!("{} {mode:o}", path.display()));
        }
        if path.is_dir() {
            found.extend(unreadable_for_the_group(&path));
        }
    }
    found
}

#[test]
fn what_a_job_writes_can_be_read_by_the_volumes_group() {
    let job = Job::new();
    for stage in ["prepare", "train", "publish"] {
        let mut command = Command::new("sh");
        let stage = job.command(stage);
        command.args(["-c", "umask 022; exec \"$@\"", "sh"]).arg(stage.get_program()).args(stage.get_args());
        job.isolate(&mut command);
        assert_eq!(Running::start(command).finish().code(), 0);
    }
    for folder in [&job.config.run_folder, &job.config.output_folder] {
        assert_eq!(unreadable_for_the_group(folder), Vec::<String>::new());
    }
}

#[test]
fn every_line_of_every_process_is_json_and_says_whose_it_is() {
    let mut job = Job::new().ranks(2);
    job.variable(env::LOG_FORMAT, "json").variable(env::ATTEMPT, "3");
    let outcomes = ["prepare", "train", "publish"].map(|stage| job.must(stage));
    let lines = |log: &str| -> Vec<serde_json::Value> {
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    };
    let train = lines(&outcomes[1].log);
    for line in &train {
        assert_eq!((line["node"].as_u64(), line["attempt"].as_u64(), line["generation"].as_u64()), (Some(0), Some(3), Some(0)), "{line}");
    }
    for rank in [serde_json::Value::Null, 0.into(), 1.into()] {
        assert!(train.iter().any(|line| line["rank"] == rank), "rank {rank} says something: {train:?}");
    }
    for (outcome, stage) in outcomes.iter().zip(["prepare", "train", "publish"]).filter(|(_, stage)| *stage != "train") {
        assert!(lines(&outcome.log).iter().all(|line| line["stage"] == stage));
    }
    job.config.base_model.path = "/nowhere".into();
    let failed = job.run("prepare");
    assert!(lines(&failed.log).iter().any(|line| line["level"] == "ERROR" && line["reason"] == "Unavailable"), "{}", failed.log);
}

/// Two ports that were free a moment ago, one after the other.
fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("0.0.0.0:0").expect("a free port");
        let port = first.local_addr().expect("bound").port();
        if port < u16::MAX && TcpListener::bind(("0.0.0.0", port + 1)).is_ok() {
            return port;
        }
    }
}

fn scrape(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn value(text: &str, metric: metric::Metric) -> f64 {
    let line =
        text.lines().find(|line| line.starts_with(&format!("{}{{", metric.name))).unwrap_or_else(|| panic!("{} in {text}", metric.name));
    line.rsplit(' ').next().expect("a value").parse().expect("a number")
}

#[test]
fn every_rank_serves_what_a_status_needs() {
    let mut job = Job::new().ranks(2).with(|config| {
        config.hyperparameters.max_steps = Some(1_000_000);
        config.failure.max_restarts = 1;
    });
    let port = free_ports();
    job.must("prepare");
    job.variable(env::METRICS_PORT, port.to_string()).variable(env::ATTEMPT, "2");
    let mut running = job.start("train");
    running.wait_for("checkpoint", |event| matches!(event, Event::CheckpointSaved { .. }));
    send(running.ranks()[1], Signal::KILL);
    let started = running.wait_for("resumption", |event| matches!(event, Event::Started { resumed_from_step: 1.., .. }));
    let Event::Started { resumed_from_step, total_steps, .. } = started else { unreachable!() };
    running.wait_for("step", |event| matches!(event, Event::Step(_)));
    for rank in 0..2 {
        let text = scrape(port + rank).expect("it listens");
        let is = |metric| value(&text, metric);
        assert_eq!((is(metric::ATTEMPT), is(metric::RESTARTS)), (2.0, 1.0));
        assert_eq!((is(metric::RESUMED_FROM_STEP), is(metric::TOTAL_STEPS)), (resumed_from_step as f64, total_steps as f64));
        assert!(is(metric::STEP) > resumed_from_step as f64 || rank == 1, "{text}");
        assert!(is(metric::STARTED) > 1.7e9 && is(metric::LAST_PROGRESS) >= is(metric::STARTED), "{text}");
        assert_eq!(is(metric::CHECKPOINT_ATTEMPT), 2.0);
        assert!(is(metric::CHECKPOINT_STEP) >= resumed_from_step as f64);
        assert!(is(metric::RESIDENT_MEMORY) > 0.0 && is(metric::TRAINING_LOSS).is_finite());
    }
    send(running.pid(), Signal::TERM);
    assert_eq!(running.finish().code(), 143);
}

#[test]
fn metrics_are_served_while_a_rank_waits_for_the_others() {
    let mut job = Job::new();
    job.must("prepare");
    let store = Store::host(0, PATIENCE).expect("a free port");
    let port = free_ports();
    job.variable(env::METRICS_PORT, port.to_string()).variable(env::MASTER_PORT, store.port().to_string());
    job.variable(env::RANK, "0").variable(env::WORLD_SIZE, "2");
    let rank = job.start("rank");
    store.wait(&["generation-0/arrived"], PATIENCE).expect("it has loaded the model and waits");
    let text = scrape(port).expect("it listens");
    assert_eq!((value(&text, metric::STEP), value(&text, metric::STARTED)), (0.0, 0.0));
    assert!(value(&text, metric::TRAINING_LOSS).is_nan());
    drop(rank);
}
