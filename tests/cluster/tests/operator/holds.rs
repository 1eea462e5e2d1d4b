//! Jobs that are held and go on: suspension, resizing, queues, deadlines.

use crate::world::{World, condition, holds, metrics};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use temper_cluster_tests::wait;

#[tokio::test]
async fn a_suspended_job_frees_its_pods_and_goes_on_from_its_checkpoint_with_another_size() {
    let world = World::new("suspension").await;
    world.create("tiny", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    world.running("tiny", 0, 2).await;
    world.page.set(metrics(25, 20));
    wait::until(&world.jobs(), "tiny", "with a checkpoint", |job| {
        job.status.as_ref().and_then(|status| status.checkpoint.as_ref()).is_some_and(|checkpoint| checkpoint.step == 20)
    })
    .await;
    world.patch("tiny", json!({ "suspend": true })).await;
    let job = world.state("tiny", "Suspended").await;
    assert!(holds(&job, "Suspended") && !holds(&job, "Reconciling") && !holds(&job, "Stalled"));
    wait::gone(&world.batch_jobs(), "tiny-a0").await;

    world.patch("tiny", json!({ "suspend": false, "trainer": { "numNodes": 1 } })).await;
    world.running("tiny", 1, 1).await;
    let job = world.state("tiny", "Training").await;
    let status = job.status.as_ref().expect("it has one");
    assert_eq!((status.attempt, status.restarts), (Some(1), 0), "a suspension is no failure");
    let made = world.batch_jobs().get("tiny-a1").await.expect("made");
    assert_eq!(made.spec.and_then(|spec| spec.completions), Some(1));
}

#[tokio::test]
async fn nothing_is_made_for_a_job_that_is_born_suspended() {
    let world = World::new("born").await;
    world.create("tiny", json!({ "suspend": true })).await;
    world.state("tiny", "Suspended").await;
    assert_eq!(world.batch_jobs().get_opt("tiny-prepare-0").await.expect("readable"), None);
    world.patch("tiny", json!({ "suspend": false })).await;
    world.state("tiny", "Training").await;
}

#[tokio::test]
async fn a_queue_admits_and_evicts_the_training_job_and_the_operator_does_not_interfere() {
    let world = World::new("queue").await;
    let mut manifest = crate::world::job("tiny", json!({}));
    manifest["metadata"]["labels"] = json!({ "kueue.x-k8s.io/queue-name": "gpu" });
    world.namespace.create_object::<temper_crds::FineTuneJob>(manifest).await;
    let job = world.state("tiny", "Queued").await;
    assert!(!holds(&job, "Stalled") && !holds(&job, "Running"));
    let kueue = PatchParams { field_manager: Some("kueue".to_owned()), ..PatchParams::default() };
    let suspended = |suspend: bool| Patch::Merge(json!({ "spec": { "suspend": suspend } }));
    world.batch_jobs().patch("tiny-a0", &kueue, &suspended(false)).await.expect("admitted");
    world.running("tiny", 0, 2).await;
    world.state("tiny", "Training").await;
    // Kueue evicts: the pods write their checkpoint and end, and what goes on waits for its turn.
    world.batch_jobs().patch("tiny-a0", &kueue, &suspended(true)).await.expect("evicted");
    let attempt = waiting_after_eviction(&world).await;
    world.state("tiny", "Queued").await;
    world.batch_jobs().patch(&format!("tiny-a{attempt}"), &kueue, &suspended(false)).await.expect("admitted");
    world.finish("tiny", attempt).await;
    let job = world.state("tiny", "Complete").await;
    assert_eq!(job.status.map(|status| status.restarts), Some(0));
}

/// The attempt that waits for the queue once the evicted pods are gone: the same, or the next where the Job controller saw a pod that had
/// ended before it was gone, and judged it.
async fn waiting_after_eviction(world: &World) -> u64 {
    let of_training = ListParams::default().labels("temper.dev/stage=train");
    wait::eventually(wait::PATIENCE, "an attempt waits for the queue, and no pod of it is left", async || {
        let jobs = world.batch_jobs().list(&of_training).await.map_err(|error| error.to_string())?.items;
        let pods = world.pods().list(&of_training).await.map_err(|error| error.to_string())?.items;
        let has_failed = |job: &Job| {
            let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
            conditions.iter().any(|condition| ["Failed", "FailureTarget"].contains(&condition.type_.as_str()) && condition.status == "True")
        };
        let is_suspended = |job: &&Job| job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true) && !has_failed(job);
        match jobs.iter().find(is_suspended).and_then(|job| job.labels().get("temper.dev/attempt")?.parse::<u64>().ok()) {
            Some(attempt) if pods.iter().all(|pod| crate::world::attempt(pod) != attempt.to_string()) => Ok(attempt),
            attempt => Err(format!("{attempt:?} waits, {} pods are there", pods.len())),
        }
    })
    .await
}

#[tokio::test]
async fn a_deadline_ends_the_job_and_says_so() {
    let world = World::new("deadline").await;
    world.create("tiny", json!({ "activeDeadlineSeconds": 2 })).await;
    let job = wait::until(&world.jobs(), "tiny", "failed", |job| holds(job, "Failed")).await;
    let failed = condition(&job, "Failed").expect("there");
    assert_eq!(failed.reason, "DeadlineExceeded");
    assert!(failed.message.contains("activeDeadlineSeconds (2)"), "{}", failed.message);
    wait::eventually(wait::PATIENCE, "no pod of it runs", async || {
        let pods = world.pods().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let running = pods.items.iter().filter(|pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running")));
        match running.count() {
            0 => Ok(()),
            count => Err(format!("{count} run")),
        }
    })
    .await;
}
