//! What the API server does not let the operator do: the status says it, and the job goes on when it may.

use crate::world::{World, condition, holds, rules};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::Role;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

/// Takes verbs on resources from the operator, and gives all others back.
pub(crate) async fn may_not(world: &World, refused: &[(&str, &str)]) {
    let mut rules = rules();
    for (resource, verb) in refused {
        let of = |rule: &&mut k8s_openapi::api::rbac::v1::PolicyRule| rule.resources.iter().flatten().any(|name| name == resource);
        rules.iter_mut().filter(of).for_each(|rule| rule.verbs.retain(|one| one != verb));
    }
    // The API server takes no rule without a verb.
    rules.retain(|rule| !rule.verbs.is_empty());
    let roles: Api<Role> = world.namespace.api();
    let patch = Patch::Merge(json!({ "rules": rules }));
    roles.patch("temper-operator", &PatchParams::default(), &patch).await.expect("the role is there");
}

#[tokio::test]
async fn a_registration_that_is_refused_is_told_and_made_when_it_may_be() {
    let world = World::new("no-versions").await;
    world.create("tiny", json!({})).await;
    may_not(&world, &[("modelversions", "create")]).await;
    world.finish("tiny", 0).await;
    let job = world.state("tiny", "Forbidden").await;
    let ready = condition(&job, "Ready").expect("there");
    assert!(holds(&job, "Stalled") && ready.message.contains("modelversions"), "{}", ready.message);
    may_not(&world, &[]).await;
    let job = world.state("tiny", "Complete").await;
    assert!(holds(&job, "ModelRegistered") && !holds(&job, "Stalled"));
}

#[tokio::test]
async fn a_stop_that_is_refused_is_told_and_carried_out_when_it_may_be() {
    let world = World::new("no-delete").await;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    may_not(&world, &[("jobs", "delete")]).await;
    world.patch("tiny", json!({ "suspend": true })).await;
    let job = world.state("tiny", "Forbidden").await;
    let ready = condition(&job, "Ready").expect("there");
    assert!(holds(&job, "Stalled") && ready.message.contains("tiny-a0"), "{}", ready.message);
    may_not(&world, &[]).await;
    world.state("tiny", "Suspended").await;
}

#[tokio::test]
async fn fields_that_another_manager_holds_are_told_with_its_name() {
    let world = World::new("held-fields").await;
    let services: Api<Service> = world.namespace.api();
    let held = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "tiny-ranks" },
        "spec": { "clusterIP": "None", "publishNotReadyAddresses": false, "selector": { "app": "other" }, "ports": [{ "port": 1 }] },
    });
    services.patch("tiny-ranks", &PatchParams::apply("gitops"), &Patch::Apply(held)).await.expect("made");
    world.create("tiny", json!({})).await;
    let job = world.state("tiny", "Forbidden").await;
    let ready = condition(&job, "Ready").expect("there");
    assert!(holds(&job, "Stalled") && ready.message.contains("\"gitops\""), "{}", ready.message);
    services.delete("tiny-ranks", &DeleteParams::default()).await.expect("deleted");
    world.state("tiny", "Training").await;
}
