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
use temper_contract::event::StepRecord;
use temper_contract::{Event, env, layout, metric};

/// What a metric shows of a step.
type OfAStep = fn(&StepRecord) -> f64;

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
        // So far apart that for a while after a restart the newest is the one that training went on from.
        config.checkpoint.save_steps = Some(100);
    });
    let port = free_ports();
    job.must("prepare");
    job.variable(env::METRICS_PORT, port.to_string()).variable(env::ATTEMPT, "2");
    let mut running = job.start("train");
    running.wait_for("checkpoint", |event| matches!(event, Event::CheckpointSaved { .. }));
    send(running.ranks()[1], Signal::KILL);
    let started = running.wait_for("resumption", |event| matches!(event, Event::Started { resumed_from_step: 1.., .. }));
    let Event::Started { resumed_from_step, total_steps, .. } = started else { unreachable!() };
    let checkpoint = job.config.checkpoint_folder.join(layout::attempt_folder(2)).join(layout::step_folder(resumed_from_step));
    let manifest = fs::metadata(checkpoint.join(layout::CHECKPOINT_MANIFEST));
    let written = manifest.and_then(|manifest| manifest.modified()).expect("training went on from it");
    // No rank takes part in a step before it has told of the one before.
    running.wait_for_step(resumed_from_step + 2);
    let mut scrapes = Vec::new();
    for rank in 0..2 {
        let youngest = written.elapsed().expect("in the past").as_secs_f64();
        let [before, text, after] = [(); 3].map(|()| scrape(port + rank).expect("it listens"));
        let oldest = written.elapsed().expect("in the past").as_secs_f64();
        let is = |metric| value(&text, metric);
        assert_eq!((is(metric::ATTEMPT), is(metric::RESTARTS)), (2.0, 1.0));
        assert_eq!((is(metric::RESUMED_FROM_STEP), is(metric::TOTAL_STEPS)), (resumed_from_step as f64, total_steps as f64));
        assert!(is(metric::STEP) > resumed_from_step as f64, "{text}");
        assert!(is(metric::STARTED) > 1.7e9 && is(metric::LAST_PROGRESS) >= is(metric::STARTED), "{text}");
        assert_eq!(is(metric::CHECKPOINT_ATTEMPT), 2.0);
        assert!(is(metric::CHECKPOINT_STEP) >= resumed_from_step as f64);
        // On a machine so slow that another was saved meanwhile, that one is younger. Clocks of files tick coarsely.
        let youngest = if is(metric::CHECKPOINT_STEP) == resumed_from_step as f64 { youngest - 0.1 } else { 0.0 };
        let age = is(metric::CHECKPOINT_AGE);
        assert!(age > 0.0 && age >= youngest && age <= oldest + 0.1, "{age} is not between {youngest} and {oldest}");
        assert!(is(metric::RESIDENT_MEMORY) > 0.0 && is(metric::TRAINING_LOSS).is_finite());
        scrapes.push((value(&before, metric::STEP) - 1.0..=value(&after, metric::STEP) + 1.0, text));
    }
    send(running.pid(), Signal::TERM);
    assert_eq!(running.finish().code(), 143);

    // While training goes on, a scrape finds the values of some step between those which the scrapes before and after it find.
    let log = job.steps();
    let of_a_step: [(metric::Metric, OfAStep); 4] = [
        // 40 rows are ten steps of two micro-batches of two.
        (metric::EPOCH, |record| record.step as f64 / 10.0),
        (metric::LEARNING_RATE, |record| record.learning_rate),
        (metric::GRADIENT_NORM, |record| record.gradient_norm),
        (metric::TRAINING_LOSS, |record| record.training_loss),
    ];
    for (rank, (steps, text)) in scrapes.iter().enumerate() {
        let records: Vec<&StepRecord> = log.iter().filter(|record| steps.contains(&(record.step as f64))).collect();
        for (metric, of) in of_a_step {
            let shown = value(text, metric);
            // JSON's reader rounds the last bit.
            let is_shown = records.iter().any(|record| (of(record) - shown).abs() <= 1e-12 * shown.abs());
            assert!(is_shown, "rank {rank}: {} {shown} is of none of the steps {steps:?}", metric.name);
        }
    }
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
