//! Jobs that are held and go on: suspension, resizing, queues, deadlines.

use crate::world::{World, condition, holds, metrics};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PodTemplateSpec, Service, Toleration};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use temper_cluster_tests::wait;

/// The label and the taint of the machines of a flavor, as Kueue calls sorts of machines.
const FLAVOR: &str = "example.com/flavor";
/// What a job asks Kueue about the network between its pods.
const TOPOLOGY: &str = "kueue.x-k8s.io/podset-preferred-topology";

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
    manifest["metadata"]["annotations"] = json!({ TOPOLOGY: "cloud.provider.com/topology-rack" });
    world.namespace.create_object::<temper_crds::FineTuneJob>(manifest).await;
    let job = world.state("tiny", "Queued").await;
    assert!(!holds(&job, "Stalled") && !holds(&job, "Running"));
    let asked = template(&world, "tiny-a0").await.metadata.and_then(|metadata| metadata.annotations).unwrap_or_default();
    assert_eq!(asked.get(TOPOLOGY).map(String::as_str), Some("cloud.provider.com/topology-rack"));
    admit(&world, 0, "reserved").await;
    let pods = world.running("tiny", 0, 2).await;
    are_placed(&world, &pods, "reserved").await;
    world.state("tiny", "Training").await;
    stays_as_it_is(&world, "tiny-a0").await;
    // Kueue evicts: the pods write their checkpoint and end, and what goes on waits for its turn.
    let evicted = Patch::Merge(json!({ "spec": { "suspend": true } }));
    world.batch_jobs().patch("tiny-a0", &kueue(), &evicted).await.expect("evicted");
    let attempt = waiting_after_eviction(&world).await;
    world.state("tiny", "Queued").await;
    admit(&world, attempt, "spot").await;
    let pods = world.running("tiny", attempt, 2).await;
    are_placed(&world, &pods, "spot").await;
    world.finish("tiny", attempt).await;
    let job = world.state("tiny", "Complete").await;
    assert_eq!(job.status.map(|status| status.restarts), Some(0));
}

fn kueue() -> PatchParams {
    PatchParams { field_manager: Some("kueue".to_owned()), ..PatchParams::default() }
}

/// Admits a suspended Job as Kueue does: one write says which machines its pods may have and has them made. The API server takes that of a
/// Job that counts no pods and was never started, so that Kueue makes such a one of a Job that it has evicted.
async fn admit(world: &World, attempt: u64, flavor: &str) {
    let name = format!("tiny-a{attempt}");
    let counts_none = |job: &Job| job.status.as_ref().and_then(|status| status.active).unwrap_or(0) == 0;
    wait::until(&world.batch_jobs(), &name, "without pods", counts_none).await;
    let never_started = Patch::Merge(json!({ "status": { "startTime": null } }));
    world.batch_jobs().patch_status(&name, &kueue(), &never_started).await.expect("it is suspended");
    let mut tolerations = template(world, &name).await.spec.and_then(|pod| pod.tolerations).unwrap_or_default();
    tolerations.retain(|toleration| toleration.key.as_deref() != Some(FLAVOR));
    tolerations.push(Toleration {
        key: Some(FLAVOR.to_owned()),
        operator: Some("Equal".to_owned()),
        value: Some(flavor.to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    });
    let placed = json!({ "nodeSelector": { FLAVOR: flavor }, "tolerations": tolerations });
    let admitted = Patch::Merge(json!({ "spec": { "suspend": false, "template": { "spec": placed } } }));
    world.batch_jobs().patch(&name, &kueue(), &admitted).await.expect("admitted");
}

/// Expects of pods that they go where Kueue said, and not where it said before.
async fn are_placed(world: &World, pods: &[String], flavor: &str) {
    for name in pods {
        let pod = world.pods().get(name).await.expect("it runs").spec.expect("it has one");
        let selector = pod.node_selector.unwrap_or_default();
        assert_eq!(selector.get(FLAVOR).map(String::as_str), Some(flavor), "{name}: {selector:?}");
        let tolerations = pod.tolerations.unwrap_or_default();
        let of_flavors = tolerations.iter().filter(|toleration| toleration.key.as_deref() == Some(FLAVOR));
        let tolerated: Vec<Option<&str>> = of_flavors.map(|toleration| toleration.value.as_deref()).collect();
        assert_eq!(tolerated, [Some(flavor)], "{name}: {tolerations:?}");
    }
}

/// Has the operator write once more of what belongs to the attempt, and to its Job itself: what Kueue has written there stays.
async fn stays_as_it_is(world: &World, job: &str) {
    let before = template(world, job).await;
    let services: Api<Service> = world.namespace.api();
    let service = services.get("tiny-ranks").await.expect("there");
    services.delete("tiny-ranks", &DeleteParams::default()).await.expect("deleted");
    wait::until(&services, "tiny-ranks", "made again", |made| made.metadata.uid != service.metadata.uid).await;
    let strip = Patch::Merge(json!({ "metadata": { "ownerReferences": null } }));
    world.batch_jobs().patch(job, &PatchParams::default(), &strip).await.expect("changed");
    wait::until(&world.batch_jobs(), job, "owned again", |job| !job.owner_references().is_empty()).await;
    assert_eq!(template(world, job).await, before);
}

async fn template(world: &World, job: &str) -> PodTemplateSpec {
    world.batch_jobs().get(job).await.expect("there").spec.expect("it has one").template
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
