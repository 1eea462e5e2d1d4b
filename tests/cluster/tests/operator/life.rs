//! A job from its manifest to a version in the registry, and beyond.

use crate::world::{World, condition, holds, metrics};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PropagationPolicy};
use serde_json::json;
use temper_cluster_tests::kubelet::End;
use temper_cluster_tests::wait;
use temper_crds::{FineTuneJob, ModelVersion, Stage};

#[tokio::test]
async fn a_job_runs_from_its_manifest_to_a_version_in_the_registry() {
    let world = World::new("life").await;
    world.create("tiny", json!({})).await;
    world.state("tiny", "Training").await;
    world.running("tiny", 0, 2).await;
    world.page.set(metrics(15, 10));
    let job = wait::until(&world.jobs(), "tiny", "at step 15", |job| {
        job.status.as_ref().and_then(|status| status.trainer_status.as_ref()).is_some_and(|trainer| trainer.step == 15)
    })
    .await;
    let status = job.status.as_ref().expect("it has one");
    let trainer = status.trainer_status.as_ref().expect("it has one");
    assert_eq!((trainer.total_steps, trainer.progress_percentage), (60, 25));
    assert_eq!(trainer.metrics.training_loss.as_ref().map(ToString::to_string).as_deref(), Some("1.25"));
    assert_eq!(trainer.metrics.gpu_memory_bytes, Some(2_000_000_000));
    assert!(trainer.estimated_remaining.is_some(), "{trainer:?}");
    assert_eq!(status.dataset.as_ref().map(|dataset| (dataset.rows, dataset.rejected["tooShort"])), Some((103, 3)));
    assert_eq!(status.parameters.as_ref().map(|parameters| parameters.trainable), Some(4_884_480));
    let uid = job.uid().expect("it has one");
    let checkpoint = status.checkpoint.as_ref().expect("it has one");
    assert_eq!(
        (checkpoint.step, checkpoint.uri.as_str()),
        (10, format!("pvc://checkpoints/tiny/tiny-{}/checkpoints/attempt-0/step-00000010", &uid[..8]).as_str())
    );

    world.finish("tiny", 0).await;
    let job = world.state("tiny", "Complete").await;
    assert!(holds(&job, "Ready") && holds(&job, "Complete") && holds(&job, "ModelRegistered") && !holds(&job, "Reconciling"));
    assert!(job.status.as_ref().is_some_and(|status| status.observed_generation == job.metadata.generation));
    let model = job.status.as_ref().and_then(|status| status.model_version.clone()).expect("it has one");
    assert_eq!((model.name.as_deref(), model.version), (Some("tiny-v1"), Some(1)));

    let versions: Api<ModelVersion> = world.namespace.api();
    let version = versions.get("tiny-v1").await.expect("registered");
    assert_eq!((version.spec.stage, &version.spec.uri), (Stage::Staging, &format!("pvc://models/out/tiny-{}", &uid[..8])));
    assert_eq!(version.spec.source_ref.as_ref().and_then(|source| source.uid.as_deref()), Some(uid.as_str()));
    assert!(version.owner_references().is_empty(), "a model outlives the job that made it");
    let checkpoint = job.status.as_ref().and_then(|status| status.checkpoint.as_ref()).expect("it has one");
    assert_eq!((checkpoint.step, checkpoint.uri.ends_with("/attempt-0/step-00000060")), (60, true), "{}", checkpoint.uri);
    let result = job.status.as_ref().and_then(|status| status.result.as_ref()).expect("it has one");
    assert_eq!(result.validation_loss_after.as_ref().map(ToString::to_string).as_deref(), Some("0.04"));

    let events: Api<Event> = world.namespace.api();
    let about = ListParams::default().fields(&format!("regarding.uid={uid}"));
    let told: Vec<String> = events.list(&about).await.expect("listable").items.into_iter().filter_map(|event| event.reason).collect();
    for reason in ["Preparing", "Training", "Publishing", "Complete", "Registered"] {
        assert!(told.iter().any(|told| told == reason), "{reason} is not in {told:?}");
    }
}

#[tokio::test]
async fn versions_of_a_model_are_counted_and_two_jobs_never_take_the_same_one() {
    let world = World::new("versions").await;
    let register = json!({ "storageUri": "pvc://models/out", "register": { "modelName": "shared" } });
    for name in ["one", "two", "three"] {
        world.create(name, json!({ "output": register })).await;
    }
    for name in ["one", "two", "three"] {
        world.finish(name, 0).await;
    }
    let mut taken = Vec::new();
    for name in ["one", "two", "three"] {
        let job = world.state(name, "Complete").await;
        taken.push(job.status.and_then(|status| status.model_version).and_then(|model| model.version).expect("registered"));
    }
    taken.sort_unstable();
    assert_eq!(taken, [1, 2, 3]);
}

#[tokio::test]
async fn its_time_after_the_end_frees_pods_and_services_and_never_runs_anything_again() {
    let world = World::new("ttl").await;
    world.create("tiny", json!({ "ttlSecondsAfterFinished": 1 })).await;
    world.finish("tiny", 0).await;
    world.state("tiny", "Complete").await;
    for name in ["tiny-prepare-0", "tiny-a0", "tiny-publish-0"] {
        wait::gone::<Job>(&world.namespace.api(), name).await;
    }
    wait::gone::<Service>(&world.namespace.api(), "tiny-ranks").await;
    wait::gone::<ConfigMap>(&world.namespace.api(), "tiny-trainer").await;
    wait::gone::<NetworkPolicy>(&world.namespace.api(), "tiny-ranks").await;
    let mut world = world;
    world.operator.start_again();
    world.operator.ready().await;
    world.create("other", json!({})).await;
    world.state("other", "Training").await;
    // Whatever the operator wanted to do about the finished job it has had the time for.
    let pods: Api<Pod> = world.namespace.api();
    let left = pods.list(&ListParams::default().labels("temper.dev/job-name=tiny")).await.expect("listable");
    assert!(left.items.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()), "{:?}", left.items);
    assert_eq!(world.batch_jobs().get_opt("tiny-a0").await.expect("readable"), None);
    let job = world.jobs().get("tiny").await.expect("the job itself stays");
    assert!(holds(&job, "Complete"));
}

#[tokio::test]
async fn a_job_that_is_over_can_still_be_given_its_time() {
    let mut world = World::new("late-ttl").await;
    for name in ["before", "after"] {
        world.create(name, json!({})).await;
        world.finish(name, 0).await;
        world.state(name, "Complete").await;
    }
    let freed = async |world: &World, name: &str| {
        world.patch(name, json!({ "ttlSecondsAfterFinished": 1 })).await;
        wait::gone::<Job>(&world.namespace.api(), &format!("{name}-a0")).await;
        wait::gone::<ConfigMap>(&world.namespace.api(), &format!("{name}-trainer")).await;
        wait::eventually(wait::PATIENCE, "the status is about the newest spec", async || {
            let job = world.jobs().get(name).await.map_err(|error| error.to_string())?;
            let seen = job.status.as_ref().and_then(|status| status.observed_generation);
            if seen == job.metadata.generation && holds(&job, "Complete") { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    };
    freed(&world, "before").await;
    world.operator.start_again();
    world.operator.ready().await;
    freed(&world, "after").await;
}

#[tokio::test]
async fn a_deleted_job_takes_everything_with_it_at_every_stage() {
    let mut world = World::new("deletion").await;
    world.create("early", json!({})).await;
    world.create("late", json!({})).await;
    world.create("done", json!({})).await;
    world.create("held", json!({})).await;
    world.create("crashed", json!({})).await;
    let mut queued = crate::world::job("queued", json!({}));
    queued["metadata"]["labels"] = json!({ "kueue.x-k8s.io/queue-name": "gpu" });
    world.namespace.create_object::<FineTuneJob>(queued).await;
    world.state("queued", "Queued").await;
    world.running("late", 0, 2).await;
    world.finish("done", 0).await;
    world.state("done", "Complete").await;
    world.running("held", 0, 2).await;
    world.patch("held", json!({ "suspend": true })).await;
    world.state("held", "Suspended").await;
    for pod in world.running("crashed", 0, 2).await {
        world.kubelet.end(&pod, End::exit(1, String::new())).await;
    }
    // It backs off then, for a second or two: too short to be sure to see it.
    let has_crashed = |job: &FineTuneJob| job.status.as_ref().is_some_and(|status| status.last_failure.is_some());
    wait::until(&world.jobs(), "crashed", "told to have crashed", has_crashed).await;
    // What is left is the garbage collector's, whether the operator lives or not.
    for (number, name) in ["early", "late", "done", "held", "crashed", "queued"].into_iter().enumerate() {
        if number == 3 {
            world.operator.kill();
        }
        let params = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
        world.jobs().delete(name, &params).await.expect("deleted");
    }
    let labels = ListParams::default().labels("app.kubernetes.io/managed-by=temper,temper.dev/job-name");
    wait::eventually(wait::PATIENCE, "nothing of the jobs is left", async || {
        let jobs: Api<Job> = world.namespace.api();
        let services: Api<Service> = world.namespace.api();
        let maps: Api<ConfigMap> = world.namespace.api();
        let policies: Api<NetworkPolicy> = world.namespace.api();
        let left = [
            jobs.list_metadata(&labels).await.map(|list| list.items.len()),
            services.list_metadata(&labels).await.map(|list| list.items.len()),
            maps.list_metadata(&labels).await.map(|list| list.items.len()),
            policies.list_metadata(&labels).await.map(|list| list.items.len()),
            world.pods().list_metadata(&labels).await.map(|list| list.items.len()),
        ];
        let left: Vec<usize> = left.into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        if left.iter().all(|count| *count == 0) { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let versions: Api<ModelVersion> = world.namespace.api();
    assert!(versions.get_opt("done-v1").await.expect("readable").is_some(), "the model stays");
}

#[tokio::test]
async fn a_wrong_spec_is_refused_with_every_problem_before_anything_is_made() {
    let world = World::new("refused").await;
    let cost = json!({ "maxCost": "5" });
    world.create("tiny", json!({ "cost": cost, "dataset": { "storageUri": "file:///data/rows.jsonl", "format": "text" } })).await;
    let job = world.state("tiny", "InvalidSpec").await;
    let stalled = condition(&job, "Stalled").expect("there");
    assert!(holds(&job, "Stalled") && !holds(&job, "Reconciling"));
    assert!(stalled.message.contains("spec.cost.maxCost") && stalled.message.contains("spec.dataset.storageUri"), "{}", stalled.message);
    let made = world.batch_jobs().list(&ListParams::default()).await.expect("listable");
    assert!(made.items.is_empty());
}
