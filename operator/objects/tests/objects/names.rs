//! Names fit what Kubernetes takes, and tell jobs apart.

use proptest::prelude::*;
use serde_json::json;
use temper_crds::FineTuneJob;
use temper_objects::{Owner, Settings, names, prepare, publish, trainers};
use temper_planner::{Capabilities, Stage, ValidatedFineTuneJob, validate};

/// More tries than any job lives to see.
const MOST_TRIES: u64 = 100_000;

fn job(name: &str) -> Option<(ValidatedFineTuneJob, Owner)> {
    let job = json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob",
        "metadata": { "name": name, "namespace": "ml", "uid": "0b5e7ac4-5a0d-4f7e-9a34-6f2a7c1d9e55" },
        "spec": {
            "baseModel": { "storageUri": "hf://org/model" },
            "dataset": { "storageUri": "s3://data/rows.jsonl", "format": "text" },
            "method": { "type": "full" },
            "hyperparameters": { "maxSteps": 60 },
            "output": { "storageUri": "s3://models" },
        },
    });
    let job: FineTuneJob = serde_json::from_value(job).expect("a job");
    Some((validate(&job, Capabilities::CLUSTER).ok()?, Owner::of(&job)?))
}

fn is_dns_label(name: &str) -> bool {
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    (1..=63).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-') && !name.ends_with('-')
}

/// Every name that the pair of a job's name and a number leads to, with its kind.
fn names_of(job: &str, number: u64) -> Vec<(&'static str, String)> {
    vec![
        ("ConfigMap", names::config_map(job)),
        ("PersistentVolumeClaim", names::run_claim(job)),
        ("Service", names::service(job)),
        ("NetworkPolicy", names::ranks_policy(job)),
        ("NetworkPolicy", names::transfer_policy(job)),
        ("Job", names::batch_job(job, Stage::Prepare, number)),
        ("Job", names::batch_job(job, Stage::Train, number)),
        ("Job", names::batch_job(job, Stage::Publish, number)),
    ]
}

/// What the API takes as a job's name, often as long as it may be and often like a name that is made from another's.
fn job_name() -> impl Strategy<Value = String> {
    let word = "[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?";
    let made = prop::sample::select(vec!["", "-a0", "-ranks", "-run", "-trainer", "-transfer", "-prepare-1", "-publish-0"]);
    prop_oneof![word.prop_map(|name| name), ("[a-z0-9]{48}"), ("[a-b]", made).prop_map(|(name, suffix)| format!("{name}{suffix}"))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn names_of_any_valid_job_fit(name in job_name(), attempt in 0..MOST_TRIES, nodes in 1_usize..=1024) {
        let (job, owner) = job(&name).expect("a valid name");
        let settings = Settings { run_volume_size: "1Gi".to_owned(), ..Settings::default() };
        let objects = [
            prepare(&job, &owner, &settings, attempt),
            trainers(&job, &owner, &settings, attempt, nodes, 1, 0),
            publish(&job, &owner, &settings, attempt, None),
        ];
        for object in objects.iter().flatten() {
            // A Job's name becomes the value of a label and, with the node's number, a host name.
            prop_assert!(is_dns_label(object.name()), "{} {}", object.kind(), object.name());
            let template = object.to_value()["spec"]["template"]["metadata"]["labels"].clone();
            let labels = object.metadata().labels.iter().flatten().map(|(_, value)| value.clone());
            let of_pods = template.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str().map(str::to_owned));
            for value in labels.chain(of_pods) {
                prop_assert!(value.len() <= 63 && is_dns_label(&value), "{} {}: label {value}", object.kind(), object.name());
            }
        }
        prop_assert!(is_dns_label(&names::node_host(&name, attempt, nodes - 1)));
        prop_assert!(names::node_address(&name, attempt, 0).len() <= 253);
        prop_assert!(is_dns_label(&owner.run_name()));
    }

    #[test]
    fn no_two_jobs_share_a_name(one in job_name(), other in job_name(), first in 0..3_u64, second in 0..3_u64) {
        prop_assume!(one != other);
        let (of_one, of_other) = (names_of(&one, first), names_of(&other, second));
        prop_assert!(!of_one.iter().any(|name| of_other.contains(name)), "{of_one:?} {of_other:?}");
    }
}

#[test]
fn names_of_models_are_counted_by_version() {
    assert_eq!(names::model_version("listings", 4), "listings-v4");
}
