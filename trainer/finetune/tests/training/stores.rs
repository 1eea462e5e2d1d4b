//! A whole job whose model, rows, checkpoints and output lie in an object store.

use crate::job::Job;
use std::fs;
use std::path::Path;
use temper_contract::config::{Credentials, Remote, Validation};
use temper_contract::{Event, ExitCode};
use temper_storage::{Purpose, Settings, Writer, blocking};
use temper_test_stores::{s3, s3_bucket, unique};

/// A bucket, and the mounted Secret that opens it.
struct Store {
    bucket: String,
    credentials: Credentials,
}

impl Store {
    fn new(job: &Job) -> Self {
        let folder = job.path("secret");
        fs::create_dir(&folder).expect("made");
        let url = s3().url();
        for (key, value) in [("accessKeyId", "AKIA"), ("secretAccessKey", "canary-secret"), ("region", "us-east-1"), ("endpoint", &url)] {
            fs::write(folder.join(key), value).expect("written");
        }
        let bucket = s3_bucket(&format!("bucket-{}", unique()));
        Self { bucket, credentials: Credentials { secret: "s3-keys".to_owned(), folder } }
    }

    fn at(&self, path: &str) -> Remote {
        let uri = format!("s3://{}/{path}", self.bucket);
        Remote { uri, revision: None, credentials: Some(self.credentials.clone()) }
    }

    fn put(&self, folder: &Path, path: &str) {
        let writer = Writer { owner: "test".to_owned(), attempt: 0 };
        blocking::upload(folder, &self.at(path), &writer, &Settings::default(), &|_, _| ()).expect("uploaded");
    }
}

/// A job that finds nothing on this machine.
fn remote_job() -> (Job, Store) {
    let job = Job::new();
    let store = Store::new(&job);
    store.put(&job.path("model"), "models/tiny");
    for name in ["rows.jsonl", "held-out.jsonl"] {
        let folder = job.path(&format!("only-{name}"));
        fs::create_dir(&folder).expect("made");
        fs::rename(job.path(name), folder.join(name)).expect("one file system");
        store.put(&folder, &format!("datasets/{name}"));
    }
    fs::remove_dir_all(job.path("model")).expect("removed");
    let at = |name: &str| job.path(&format!("run/inputs/{name}"));
    let (model, rows, held_out) = (at("base-model"), at("dataset"), at("validation"));
    let job = job.with(|config| {
        config.base_model.path = model;
        config.base_model.fetch = Some(store.at("models/tiny"));
        config.dataset.path = rows;
        // One object, and a prefix.
        config.dataset.fetch = Some(store.at("datasets/rows.jsonl/rows.jsonl"));
        config.dataset.validation = Some(Validation::Path(held_out));
        config.dataset.fetch_validation = Some(store.at("datasets/held-out.jsonl"));
        config.checkpoint.mirror = Some(store.at("checkpoints"));
        config.output.upload = Some(store.at("models/tuned"));
    });
    (job, store)
}

#[test]
fn a_job_runs_from_a_store_to_a_store() {
    let (job, store) = remote_job();
    let prepared = job.must("prepare");
    let is_fetching = |event: &&Event| matches!(event, Event::Preparing { stage, .. } if stage == "fetching");
    assert!(prepared.events.iter().filter(is_fetching).count() >= 3, "{:?}", prepared.events);
    job.must("train");
    job.must("publish");
    let fetched = job.path("fetched");
    blocking::fetch(&store.at("models/tuned"), Purpose::Everything, &fetched, &Settings::default(), &|_, _| ()).expect("it is there");
    fs::remove_dir_all(fetched.join(".fetch")).expect("removed");
    let digest = temper_artifact::digest::folder(&fetched).expect("readable");
    assert_eq!(digest, job.publish_report().digest, "what was uploaded differs from what was published");
    assert!(!prepared.log.contains("canary"), "{}", prepared.log);
}

#[test]
fn a_machine_without_checkpoints_takes_those_of_the_store() {
    let (job, _store) = remote_job();
    job.must("prepare");
    let (done, expected) = {
        job.must("train");
        job.must("publish");
        (job.train_report().step, job.adapter())
    };
    // Another machine: of training, only the store has anything.
    for path in ["run/checkpoints", "run/train-report.json", "run/publish-report.json", "output"] {
        let path = job.path(path);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("removed");
    }
    let mut job = job;
    job.variable(temper_contract::env::ATTEMPT, "1");
    let trained = job.must("train");
    let resumed = trained.events.iter().find_map(|event| match event {
        Event::Started { resumed_from_step, .. } => Some(*resumed_from_step),
        _ => None,
    });
    assert_eq!(resumed, Some(done), "{:?}", trained.events);
    // And publishing alone finds the checkpoint, too.
    fs::remove_dir_all(job.path("run/checkpoints")).expect("removed");
    job.must("publish");
    assert!(job.adapter() == expected, "the adapter's bytes differ");
}

#[test]
fn a_missing_secret_is_named_and_may_come_later() {
    let (job, store) = remote_job();
    let (there, away) = (store.credentials.folder.clone(), job.path("away"));
    fs::rename(&there, &away).expect("one file system");
    job.run("prepare").expect(ExitCode::Unavailable);
    let message = job.termination();
    assert!(message.message.contains("the Secret s3-keys"), "{message:?}");
    assert!(message.next_step.contains("create"), "{message:?}");
    fs::rename(&away, &there).expect("one file system");
    job.must("prepare");
}

#[test]
fn training_does_not_begin_anew_because_the_store_is_away() {
    let (mut job, store) = remote_job();
    job.must("prepare");
    job.variable("TEMPER_STORAGE_RETRIES", "1");
    fs::write(store.credentials.folder.join("endpoint"), "http://127.0.0.1:1").expect("written");
    job.run("train").expect(ExitCode::Unavailable);
    let message = job.termination();
    assert!(message.message.contains("cannot be reached"), "{message:?}");
}
