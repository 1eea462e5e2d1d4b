//! A whole job whose model, rows, checkpoints and output lie in an object store.

use crate::damage::{flip_a_bit, resumed_from};
use crate::job::Job;
use std::fs;
use std::path::{Path, PathBuf};
use temper_contract::config::{Credentials, Remote, Validation};
use temper_contract::{Event, ExitCode, env, layout};
use temper_storage::{Mirror, Purpose, Settings, Writer, blocking};
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
    forget(&job, &["run/checkpoints", "run/train-report.json", "run/publish-report.json", "output"]);
    let mut job = job;
    job.variable(env::ATTEMPT, "1");
    let trained = job.must("train");
    assert_eq!(resumed_from(&trained.events), Some(done), "{:?}", trained.events);
    // And publishing alone finds the checkpoint, too.
    fs::remove_dir_all(job.path("run/checkpoints")).expect("removed");
    job.must("publish");
    assert!(job.adapter() == expected, "the adapter's bytes differ");
}

/// Removes what the stages left, for them to be done again.
fn forget(job: &Job, paths: &[&str]) {
    for path in paths {
        let path = job.path(path);
        if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("removed");
    }
}

#[test]
fn damaged_checkpoints_are_replaced_by_the_stores_copies() {
    let (job, _store) = remote_job();
    for stage in ["prepare", "train", "publish"] {
        job.must(stage);
    }
    let (done, expected) = (job.train_report().step, job.adapter());
    let damage = |folder: &PathBuf| flip_a_bit(&folder.join("weights.safetensors"), 5);
    // The older one is whole, but it is not what was trained.
    damage(job.checkpoints(0).last().expect("the final one"));
    forget(&job, &["run/publish-report.json", "output"]);
    job.must("publish");
    assert!(job.adapter() == expected, "the adapter's bytes differ");
    // None is whole.
    job.checkpoints(0).iter().for_each(damage);
    forget(&job, &["run/train-report.json"]);
    assert_eq!(resumed_from(&job.must("train").events), Some(done));
}

#[test]
fn another_machine_that_counts_attempts_from_zero_goes_on_above_the_stores_copies() {
    let (job, store) = remote_job();
    let mut job = job.with(|config| config.checkpoint.save_total_limit = 1);
    job.must("prepare");
    // Attempt 1 of the first machine saved step 9, and the copy came through.
    let remote = job.config.checkpoint.mirror.take();
    job.variable(env::ATTEMPT, "1").variable(env::KILL_AT, "group:train.step_logged@10");
    assert_eq!(job.run("train").code(), -9);
    let saved = job.checkpoints(1).pop().expect("step 9");
    let mirror = Mirror::open(&store.at("checkpoints"), layout::CHECKPOINT_MANIFEST, &Settings::default()).expect("it is a place");
    blocking::run(mirror.put(&saved, "attempt-1/step-00000009")).expect("uploaded");

    job.variables.clear();
    job.config.checkpoint.mirror = remote;
    forget(&job, &["run/checkpoints"]);
    assert_eq!(resumed_from(&job.must("train").events), Some(9));
    assert!(job.train_report().checkpoint.ends_with("attempt-2/step-00000012"), "{:?}", job.train_report());
    assert_eq!((job.checkpoints(0).len(), job.checkpoints(2).len()), (0, 1));
    assert_eq!(blocking::run(mirror.list()).expect("listed"), ["attempt-2/step-00000012"]);
    // A third one has nothing but the store's, either.
    forget(&job, &["run/checkpoints"]);
    job.must("publish");
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
