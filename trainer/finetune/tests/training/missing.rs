//! What a job names and is not there is named with its field and tried again; what is there and wrong is not.

use crate::job::Job;
use std::fs;
use temper_contract::ExitCode;
use temper_contract::config::{Credentials, Remote, Validation};

/// A stage, what is done to the job before it, the exit code, and words of its message.
type Row = (&'static str, fn(&mut Job), ExitCode, &'static [&'static str]);

fn without(name: &'static str, job: &Job) {
    let path = job.path(name);
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it was there");
}

fn remote(job: &Job) -> Option<Remote> {
    let credentials = Credentials { secret: "s3-keys".to_owned(), folder: job.path("secrets/s3-keys") };
    Some(Remote { uri: "s3://models/listings".to_owned(), revision: None, credentials: Some(credentials) })
}

const TABLE: [Row; 12] = [
    ("prepare", |job| without("model", job), ExitCode::Unavailable, &["spec.baseModel.storageUri file:///models/tiny", "/model", "put it"]),
    ("prepare", |job| without("rows.jsonl", job), ExitCode::Unavailable, &["spec.dataset.storageUri", "/rows.jsonl"]),
    ("prepare", |job| without("held-out.jsonl", job), ExitCode::Unavailable, &["spec.dataset.validation.storageUri", "/held-out.jsonl"]),
    ("prepare", |job| job.config.dataset.path = job.path("rows.jsonl/deeper"), ExitCode::Unavailable, &["spec.dataset.storageUri"]),
    ("prepare", |job| job.config.checkpoint.mirror = remote(job), ExitCode::Unavailable, &["spec.checkpoint.secretRef", "Secret s3-keys"]),
    (
        "prepare",
        |job| {
            // As a Secret that is missing, mounted as optional: a folder with nothing in it.
            fs::create_dir_all(job.path("secrets/s3-keys")).expect("writable");
            job.config.output.upload = remote(job);
        },
        ExitCode::Unavailable,
        &["spec.output.secretRef", "Secret s3-keys", "s3://models/listings", "create the Secret"],
    ),
    ("train", |job| without("model", job), ExitCode::Unavailable, &["spec.baseModel.storageUri", "/model"]),
    ("publish", |job| without("model", job), ExitCode::Unavailable, &["spec.baseModel.storageUri", "/model"]),
    ("prepare", |job| fs::remove_file(job.path("model/config.json")).expect("there"), ExitCode::InvalidInput, &["config.json"]),
    ("prepare", |job| fs::write(job.path("rows.jsonl"), "").expect("writable"), ExitCode::InvalidInput, &["rows.jsonl", "empty"]),
    (
        "prepare",
        |job| fs::write(job.path("model/model.safetensors"), "x").expect("writable"),
        ExitCode::InvalidInput,
        &["model.safetensors"],
    ),
    (
        "prepare",
        |job| {
            fs::create_dir(job.path("empty")).expect("writable");
            job.config.dataset.validation = Some(Validation::Path(job.path("empty")));
        },
        ExitCode::InvalidInput,
        &["no data file"],
    ),
];

#[test]
fn what_is_missing_is_awaited_and_what_is_wrong_is_refused() {
    for (stage, change, code, words) in TABLE {
        let mut job = Job::new();
        for before in ["prepare", "train", "publish"].into_iter().take_while(|before| *before != stage) {
            job.must(before);
        }
        change(&mut job);
        let outcome = job.run(stage);
        outcome.expect(code);
        assert!(outcome.restarts().is_empty(), "{stage}: nothing is restarted in place: {:?}", outcome.restarts());
        let message = job.termination();
        assert_eq!(message.reason, code);
        let text = format!("{} | {}", message.message, message.next_step);
        for word in words {
            assert!(text.contains(word), "{word:?} in {text}");
        }
    }
}

#[test]
fn a_model_that_goes_while_ranks_train_is_no_reason_to_restart_them_again_and_again() {
    let job = Job::new().ranks(2).with(|config| {
        config.hyperparameters.max_steps = Some(1_000_000);
        config.failure.max_restarts = 3;
    });
    job.must("prepare");
    let mut running = job.start("train");
    running.wait_for_step(1);
    without("model", &job);
    crate::job::send(running.ranks()[1], rustix::process::Signal::KILL);
    let outcome = running.finish();
    outcome.expect(ExitCode::Unavailable);
    assert_eq!(outcome.restarts().len(), 1);
    assert_eq!(job.termination().in_place_restarts, Some(1));
}
