//! Volumes that do not have what a job reads, or no room for what it writes.

use std::process::Command;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use serde_json::json;
use temper_cluster_tests::ran::run;
use temper_cluster_tests::{Nodes, wait};
use temper_contract::ExitCode;
use temper_crds::FineTuneJob;
use temper_crds::condition::ConditionStatus;

use crate::job::{NAME, PATIENCE, condition, fill_models, manifest, ready_reason, write_rows};
use crate::release;

/// Two checkpoints, of which not one fits into the small volume.
const STEPS: u64 = 4;
/// Room for all of the run.
const ROOM: &str = "256m";

#[tokio::test]
async fn a_data_set_that_is_gone_and_a_full_volume_are_told_and_heal() {
    let nodes = Nodes::around().await;
    release::install(&nodes).await;
    let namespace = nodes.namespace("volumes").await;
    fill_models(&nodes, &namespace).await;
    let datasets = nodes.claim(&namespace, "datasets").await;
    let small = json!({
        "metadata": { "name": "runs" },
        "spec": { "storageClassName": "small", "accessModes": ["ReadWriteMany"], "resources": { "requests": { "storage": "50Gi" } } },
    });
    namespace.create_object::<PersistentVolumeClaim>(small).await;
    let mut job = manifest("200m");
    job["spec"]["trainer"]["numNodes"] = 1.into();
    job["spec"]["trainer"]["numProcPerNode"] = 1.into();
    job["spec"]["hyperparameters"]["maxSteps"] = STEPS.into();
    job["spec"]["evaluation"]["evalSteps"] = STEPS.into();
    job["spec"]["checkpoint"]["saveSteps"] = (STEPS / 2).into();
    namespace.create_object::<FineTuneJob>(job).await;
    let jobs = namespace.api::<FineTuneJob>();

    let job = state(&jobs, "Unavailable").await;
    let ready = condition(&job, "Ready");
    assert!(ready.message.contains("listings.jsonl"), "{}", ready.message);
    assert_eq!(condition(&job, "Stalled").status, ConditionStatus::True);
    write_rows(&datasets);

    let storage = i32::from(ExitCode::Storage.code());
    let is_full = |job: &FineTuneJob| {
        let failure = job.status.as_ref().and_then(|status| status.last_failure.as_ref());
        failure.is_some_and(|failure| failure.exit_code == Some(storage))
    };
    let job = wait::until_within(PATIENCE, &jobs, NAME, "out of room", is_full).await;
    let failure = job.status.and_then(|status| status.last_failure).unwrap();
    assert!(failure.message.as_deref().is_some_and(|message| message.contains("room")), "{failure:?}");
    let mut remount = Command::new("mount");
    remount.args(["-o", &format!("remount,size={ROOM}")]).arg(nodes.folder_of_volume("small"));
    run(remount, "").succeeded("mount -o remount");

    let job = state(&jobs, "Complete").await;
    let status = job.status.unwrap();
    assert_eq!(status.result.map(|result| result.step), Some(STEPS));
    assert_eq!(status.checkpoint.map(|checkpoint| checkpoint.step), Some(STEPS));
}

async fn state(jobs: &Api<FineTuneJob>, word: &str) -> FineTuneJob {
    wait::until_within(PATIENCE, jobs, NAME, &format!("{word} (Ready's reason)"), |job| ready_reason(job) == word).await
}
