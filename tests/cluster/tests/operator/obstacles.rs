//! What is in the way of a job: told with what to do, and gone when its cause is.

use crate::world::{World, condition, holds, rules, stage};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ResourceQuota, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::Role;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use temper_cluster_tests::kubelet::Play;
use temper_cluster_tests::last_words::{prepared, published};
use temper_cluster_tests::metrics_page::MetricsPage;
use temper_cluster_tests::wait;
use temper_crds::FineTuneJob;

/// A world whose prepare pods are in the way of themselves until the switch is thrown.
async fn hindered(purpose: &str, obstacle: Play) -> (World, Arc<AtomicBool>) {
    let healed = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&healed);
    let script = move |pod: &Pod| match stage(pod) {
        "prepare" if !switch.load(Ordering::Relaxed) => obstacle.clone(),
        "prepare" => Play::succeeds(prepared()),
        "publish" => Play::succeeds(published()),
        _ => Play::runs(),
    };
    (World::with(purpose, MetricsPage::default(), script, 1).await, healed)
}

#[tokio::test]
async fn missing_claims_images_and_rooms_are_told_and_heal() {
    let table = [
        ("claim", Play::unschedulable("0/1 nodes are available: persistentvolumeclaim \"models\" not found."), "VolumeUnavailable", true),
        (
            "class",
            Play::unschedulable("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
            "VolumeUnavailable",
            true,
        ),
        ("image", Play::waits("ImagePullBackOff", "Back-off pulling image \"nowhere/trainer\""), "ImageUnavailable", true),
        ("room", Play::unschedulable("0/1 nodes are available: 1 Insufficient cpu."), "Unschedulable", false),
    ];
    for (purpose, obstacle, reason, needs_a_person) in table {
        let (world, healed) = hindered(purpose, obstacle).await;
        world.create("tiny", json!({})).await;
        let job = world.state("tiny", reason).await;
        let ready = condition(&job, "Ready").expect("there");
        assert_eq!(holds(&job, "Stalled"), needs_a_person, "{purpose}");
        assert!(ready.message.contains("pod tiny-prepare-0"), "{}", ready.message);
        assert_eq!(event_type(&world, &job, reason).await, "Warning", "{purpose}");
        healed.store(true, Ordering::Relaxed);
        // The played kubelet decides once a pod: the pod that is made in its place finds the cause gone.
        let pods = world.pods().list(&ListParams::default().labels("temper.dev/stage=prepare")).await.expect("listable");
        for pod in pods.items {
            let name = pod.metadata.name.expect("it has one");
            world.pods().delete(&name, &DeleteParams::default().grace_period(0)).await.expect("deleted");
        }
        let job = world.state("tiny", "Training").await;
        assert!(!holds(&job, "Stalled"), "{purpose}");
    }
}

/// Waits for the event about a job that gives this reason; of which type it is.
async fn event_type(world: &World, job: &FineTuneJob, reason: &str) -> String {
    let events: Api<Event> = world.namespace.api();
    let about = ListParams::default().fields(&format!("regarding.uid={}", job.uid().expect("it has one")));
    wait::eventually(wait::PATIENCE, &format!("an event says {reason}"), async || {
        let told = events.list(&about).await.map_err(|error| error.to_string())?.items;
        let found = told.iter().find(|event| event.reason.as_deref() == Some(reason)).and_then(|event| event.type_.clone());
        found.ok_or_else(|| format!("there are {:?}", told.iter().map(|event| &event.reason).collect::<Vec<_>>()))
    })
    .await
}

#[tokio::test]
async fn a_quota_is_told_in_its_own_words_and_heals() {
    let world = World::new("quota").await;
    let quota = json!({ "metadata": { "name": "nothing" }, "spec": { "hard": { "pods": "0" } } });
    world.namespace.create_object::<ResourceQuota>(quota).await;
    let quotas: Api<ResourceQuota> = world.namespace.api();
    wait::until(&quotas, "nothing", "counted", |quota| quota.status.as_ref().is_some_and(|status| status.hard.is_some())).await;
    world.create("tiny", json!({})).await;
    let job = world.state("tiny", "PodsRefused").await;
    let stalled = condition(&job, "Stalled").expect("there");
    assert!(holds(&job, "Stalled") && stalled.message.contains("exceeded quota: nothing"), "{}", stalled.message);
    quotas.delete("nothing", &DeleteParams::default()).await.expect("deleted");
    let job = world.state("tiny", "Training").await;
    assert!(!holds(&job, "Stalled"));
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_named_and_given_back_heals() {
    let world = World::new("rights").await;
    let roles: Api<Role> = world.namespace.api();
    let give = async |rules: Vec<k8s_openapi::api::rbac::v1::PolicyRule>| {
        let patch = Patch::Merge(json!({ "rules": rules }));
        roles.patch("temper-operator", &PatchParams::default(), &patch).await.expect("changed");
    };
    let mut fewer = rules();
    for rule in &mut fewer {
        if rule.resources.as_deref() == Some(&["jobs".to_owned()]) {
            rule.verbs = ["get", "list", "watch"].map(str::to_owned).to_vec();
        }
    }
    give(fewer).await;
    world.create("tiny", json!({})).await;
    let job = world.state("tiny", "Forbidden").await;
    let stalled = condition(&job, "Stalled").expect("there");
    assert!(holds(&job, "Stalled") && stalled.message.contains("Job") && stalled.message.contains("forbidden"), "{}", stalled.message);
    give(rules()).await;
    let job = world.state("tiny", "Training").await;
    assert!(!holds(&job, "Stalled"));
}

#[tokio::test]
async fn children_whose_owner_is_taken_away_get_it_back_and_go_with_the_job() {
    let world = World::new("stripped").await;
    let job = world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    let (services, maps, jobs) = (world.namespace.api::<Service>(), world.namespace.api::<ConfigMap>(), world.batch_jobs());
    let strip = Patch::Merge(json!({ "metadata": { "ownerReferences": null } }));
    let by_somebody = PatchParams::default();
    services.patch("tiny-ranks", &by_somebody, &strip).await.expect("changed");
    maps.patch("tiny-trainer", &by_somebody, &strip).await.expect("changed");
    jobs.patch("tiny-a0", &by_somebody, &strip).await.expect("changed");
    wait::until(&services, "tiny-ranks", "owned again", |made| is_owned_by(made, &job)).await;
    wait::until(&maps, "tiny-trainer", "owned again", |made| is_owned_by(made, &job)).await;
    wait::until(&jobs, "tiny-a0", "owned again", |made| is_owned_by(made, &job)).await;
    // It was nobody's failure, and nothing was started a second time.
    world.finish("tiny", 0).await;
    let job = world.state("tiny", "Complete").await;
    assert_eq!(job.status.map(|status| (status.restarts, status.attempt)), Some((0, Some(0))));
    world.jobs().delete("tiny", &DeleteParams::background()).await.expect("deleted");
    wait::gone(&services, "tiny-ranks").await;
    wait::gone(&jobs, "tiny-a0").await;
}

fn is_owned_by(object: &impl ResourceExt, job: &FineTuneJob) -> bool {
    object.owner_references().iter().any(|owner| Some(&owner.uid) == job.uid().as_ref())
}

#[tokio::test]
async fn what_an_earlier_job_of_the_same_name_left_behind_is_named_and_left_alone() {
    let world = World::new("leftover").await;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    // As `kubectl delete --cascade=orphan` does.
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    world.jobs().delete("tiny", &orphan).await.expect("deleted");
    wait::gone(&world.jobs(), "tiny").await;
    let left = world.batch_jobs().get("tiny-prepare-0").await.expect("left behind");
    world.create("tiny", json!({})).await;
    let job = world.state("tiny", "Forbidden").await;
    let stalled = condition(&job, "Stalled").expect("there");
    assert!(stalled.message.contains("tiny-prepare-0"), "{}", stalled.message);
    assert_eq!(world.batch_jobs().get("tiny-prepare-0").await.expect("left alone").uid(), left.uid());
    world.batch_jobs().delete("tiny-prepare-0", &DeleteParams::background()).await.expect("deleted");
    world.batch_jobs().delete("tiny-a0", &DeleteParams::background()).await.expect("deleted");
    world.state("tiny", "Training").await;
}

#[tokio::test]
async fn deleted_children_are_made_again_and_a_deleted_training_job_is_another_attempt() {
    let world = World::new("children").await;
    world.create("tiny", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    world.running("tiny", 0, 2).await;
    let services: Api<Service> = world.namespace.api();
    let maps: Api<ConfigMap> = world.namespace.api();
    let (service, map) = (services.get("tiny-ranks").await.expect("there"), maps.get("tiny-trainer").await.expect("there"));
    services.delete("tiny-ranks", &DeleteParams::default()).await.expect("deleted");
    maps.delete("tiny-trainer", &DeleteParams::default()).await.expect("deleted");
    wait::until(&services, "tiny-ranks", "made again", |made| made.metadata.uid != service.metadata.uid).await;
    wait::until(&maps, "tiny-trainer", "made again", |made| made.metadata.uid != map.metadata.uid).await;
    world.batch_jobs().delete("tiny-a0", &DeleteParams::background()).await.expect("deleted");
    world.running("tiny", 1, 2).await;
    let job = world.state("tiny", "Training").await;
    assert_eq!(job.status.map(|status| status.restarts), Some(0), "somebody's deletion is not the job's failure");
}
