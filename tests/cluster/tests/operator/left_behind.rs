//! What an earlier job of the same name left: its claim, and the model on it.

use crate::world::World;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use temper_cluster_tests::kubelet::End;
use temper_cluster_tests::wait;
use temper_crds::FineTuneJob;

/// Keeps a claim from going, as pods that use it do.
const HOLD: &str = "example.com/hold";

/// A job with a claim of its own for its checkpoints.
fn with_own_claim() -> Value {
    json!({ "checkpoint": { "saveSteps": 10 } })
}

async fn delete(world: &World, name: &str) {
    world.jobs().delete(name, &DeleteParams::background()).await.expect("deleted");
    wait::gone(&world.jobs(), name).await;
}

/// One whose checkpoints are copied to a store: it works on a claim of its own, too.
fn with_a_store() -> Value {
    json!({ "checkpoint": { "saveSteps": 10, "storageUri": "s3://somewhere/checkpoints", "secretRef": { "name": "keys" } } })
}

#[tokio::test]
async fn a_job_waits_for_the_claim_of_an_earlier_one_to_be_gone_and_says_so() {
    for (purpose, spec) in [("going-claim", with_own_claim()), ("going-stored", with_a_store())] {
        waits_for_an_earlier_claim(&World::new(purpose).await, &spec).await;
    }
}

async fn waits_for_an_earlier_claim(world: &World, spec: &Value) {
    let claims: Api<PersistentVolumeClaim> = world.namespace.api();
    world.create("tiny", spec.clone()).await;
    world.running("tiny", 0, 2).await;
    let hold = |finalizers: Value| Patch::Merge(json!({ "metadata": { "finalizers": finalizers } }));
    let first = claims.patch("tiny-run", &PatchParams::default(), &hold(json!([HOLD]))).await.expect("it is there");
    delete(world, "tiny").await;
    let job: FineTuneJob = world.create("tiny", spec.clone()).await;
    let ready = |job: &FineTuneJob| crate::world::condition(job, "Ready").map(|ready| ready.message.clone()).unwrap_or_default();
    let waits = |job: &FineTuneJob| ready(job).contains("PersistentVolumeClaim tiny-run is still being deleted");
    let job = wait::until(&world.jobs(), "tiny", "waiting for the claim", |found| found.uid() == job.uid() && waits(found)).await;
    assert!(!crate::world::holds(&job, "Stalled"), "nobody needs to do anything");

    claims.patch("tiny-run", &PatchParams::default(), &hold(Value::Null)).await.expect("it is there still");
    world.state("tiny", "Training").await;
    let second = claims.get("tiny-run").await.expect("made anew");
    assert_ne!(second.uid(), first.uid());
    assert_eq!(second.owner_references().first().map(|owner| owner.uid.clone()), job.uid());
}

#[tokio::test]
async fn a_claim_that_is_lost_while_its_job_runs_is_made_again() {
    let world = World::new("lost-claim").await;
    let claims: Api<PersistentVolumeClaim> = world.namespace.api();
    world.create("tiny", with_own_claim()).await;
    world.state("tiny", "Training").await;
    let first = claims.get("tiny-run").await.expect("made");
    claims.delete("tiny-run", &DeleteParams::default()).await.expect("deleted");
    // It is in use, and somebody insists.
    claims.patch("tiny-run", &PatchParams::default(), &Patch::Merge(json!({ "metadata": { "finalizers": null } }))).await.ok();
    wait::until(&claims, "tiny-run", "made again", |claim| claim.uid() != first.uid()).await;
}

#[tokio::test]
async fn its_time_after_the_end_frees_a_claim_on_which_no_model_lies() {
    let world = World::new("freed-claim").await;
    let mut spec = with_own_claim();
    spec["ttlSecondsAfterFinished"] = json!(1);
    world.create("tiny", spec).await;
    world.finish("tiny", 0).await;
    world.state("tiny", "Complete").await;
    wait::gone::<PersistentVolumeClaim>(&world.namespace.api(), "tiny-run").await;
}

#[tokio::test]
async fn a_failed_job_that_is_applied_anew_starts_over() {
    let world = World::new("anew").await;
    world.create("tiny", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    for pod in world.running("tiny", 0, 2).await {
        world.kubelet.end(&pod, End::exit(1, String::new())).await;
    }
    world.state("tiny", "RestartsExhausted").await;
    // As `kubectl delete -f` and `kubectl apply -f` do, one right after the other.
    delete(&world, "tiny").await;
    let job: FineTuneJob = world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    let job = wait::until(&world.jobs(), "tiny", "training", |found| {
        found.uid() == job.uid() && crate::world::condition(found, "Ready").is_some_and(|ready| ready.reason == "Training")
    })
    .await;
    let told: Vec<_> = job.status.iter().flat_map(|status| &status.attempts).map(|entry| (entry.number, entry.end)).collect();
    assert_eq!(told.len(), 2, "what is left of the earlier job counts as no try: {told:?}");
}

#[tokio::test]
async fn a_later_jobs_time_after_its_end_spares_the_model_on_an_earlier_ones_claim() {
    let world = World::new("spared").await;
    let claims: Api<PersistentVolumeClaim> = world.namespace.api();
    // The model lies on the job's own claim.
    let mut spec = with_own_claim();
    spec["output"] = json!({ "register": { "modelName": "tiny" } });
    world.create("tiny", spec).await;
    world.finish("tiny", 0).await;
    world.state("tiny", "Complete").await;
    let kept = claims.get("tiny-run").await.expect("the model lies on it");
    assert!(kept.owner_references().is_empty(), "it outlives the job");
    delete(&world, "tiny").await;
    for name in ["tiny-prepare-0", "tiny-a0", "tiny-publish-0"] {
        wait::gone::<Job>(&world.namespace.api(), name).await;
    }

    // This one publishes elsewhere, and has nothing to keep.
    let mut spec = with_own_claim();
    spec["ttlSecondsAfterFinished"] = json!(1);
    world.create("tiny", spec).await;
    world.finish("tiny", 0).await;
    world.state("tiny", "Complete").await;
    wait::gone::<Job>(&world.namespace.api(), "tiny-a0").await;
    // A third one needs everything anew, so that the operator is surely done with the second.
    delete(&world, "tiny").await;
    world.create("tiny", with_own_claim()).await;
    world.state("tiny", "Training").await;
    let claim = claims.get("tiny-run").await.expect("the first job's model lies on it");
    assert_eq!((claim.uid(), claim.metadata.deletion_timestamp.is_some()), (kept.uid(), false));
}
