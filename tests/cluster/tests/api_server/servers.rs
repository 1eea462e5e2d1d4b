//! The control plane itself, and waiting.

use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use temper_cluster_tests::{ControlPlane, Namespace, wait};

use crate::kubectl::as_admin;

pub(crate) fn config_maps(verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["configmaps".to_owned()]),
        verbs: verbs.iter().map(ToString::to_string).collect(),
        ..PolicyRule::default()
    }
}

#[tokio::test]
async fn the_servers_are_of_the_pinned_version_and_serve_our_resources() {
    let client = ControlPlane::shared().admin();
    let version = client.apiserver_version().await.unwrap().git_version;
    let pins = include_str!("../../../kubernetes/kubernetes/go.mod");
    assert!(pins.contains(&format!("k8s.io/kubernetes {version}")), "the API server is of version {version}");
    let resources = client.list_api_group_resources("temper.dev/v1alpha1").await.unwrap();
    let mut names: Vec<_> = resources.resources.iter().map(|resource| resource.name.as_str()).collect();
    // The server lists them in an order of its own, another at each start.
    names.sort_unstable();
    assert_eq!(names, ["finetunejobs", "finetunejobs/status", "modelversions", "modelversions/status"]);
}

#[tokio::test]
async fn kubectl_shows_what_a_job_is_doing() {
    let namespace = Namespace::create("kubectl").await;
    let sample = include_str!("../../../../deploy/samples/reference/finetunejob.yaml");
    let (created, text) = as_admin(&["-n", namespace.name(), "create", "-f", "-"], sample);
    assert!(created, "{text}");
    let status = json!({ "status": {
        "conditions": [{ "type": "Ready", "status": "False", "reason": "Training", "message": "step 7 of 90",
            "lastTransitionTime": "2026-01-01T00:00:00Z" }],
        "trainerStatus": { "step": 7, "totalSteps": 90, "progressPercentage": 7 },
        "restarts": 1,
    } });
    let patch = status.to_string();
    let arguments = ["-n", namespace.name(), "patch", "ftj/listings-lora", "--subresource=status", "--type=merge", "-p", &patch];
    let (patched, text) = as_admin(&arguments, "");
    assert!(patched, "{text}");
    let (_, table) = as_admin(&["-n", namespace.name(), "get", "ftj"], "");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "STATUS", "STEP", "TOTAL", "LOSS", "ETA", "RESTARTS", "AGE"], "{table}");
    assert_eq!(rows[1][..4], ["listings-lora", "Training", "7", "90"], "{table}");
}

#[tokio::test]
async fn kubectl_refuses_a_field_that_does_not_exist() {
    let namespace = Namespace::create("typo").await;
    let sample = include_str!("../../../../deploy/samples/reference/finetunejob.yaml").replace("warmupSteps", "warmUpSteps");
    let (created, text) = as_admin(&["-n", namespace.name(), "create", "-f", "-"], &sample);
    assert!(!created && text.contains("unknown field \"spec.hyperparameters.warmUpSteps\""), "{text}");
}

#[tokio::test]
async fn a_service_account_may_do_what_its_rules_say_and_the_audit_log_counts_it() {
    let namespace = Namespace::create("rbac").await;
    let credentials = namespace.service_account("reader", &[config_maps(&["create", "get"])]).await;
    let control_plane = ControlPlane::shared();
    let client = control_plane.client(control_plane.url(), &credentials);
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace.name());
    for name in ["a", "b"] {
        let map = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    maps.get("a").await.unwrap();
    let refused = Api::<Pod>::namespaced(client, namespace.name()).list(&ListParams::default()).await.unwrap_err();
    assert!(refused.to_string().contains("pods is forbidden"), "{refused}");

    let user = format!("system:serviceaccount:{}:reader", namespace.name());
    let asked = wait::eventually(wait::PATIENCE, "the audit log has the last request", async || {
        let requests = control_plane.audit().requests(|request| request.user.username == user);
        if requests.len() < 4 { Err(format!("{requests:?}")) } else { Ok(requests) }
    })
    .await;
    let asked: Vec<_> =
        asked.iter().map(|request| (request.verb.as_str(), request.object_ref.resource.as_str(), request.response_status.code)).collect();
    assert_eq!(asked, [("create", "configmaps", 201), ("create", "configmaps", 201), ("get", "configmaps", 200), ("list", "pods", 403)]);
}

#[tokio::test]
async fn pods_below_the_restricted_level_are_refused() {
    let namespace = Namespace::create("restricted").await;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "root" }, "spec": { "containers": [{ "name": "c", "image": "i" }] },
    }))
    .unwrap();
    let refused = namespace.api::<Pod>().create(&PostParams::default(), &pod).await.unwrap_err();
    assert!(refused.to_string().contains("violates PodSecurity \"restricted"), "{refused}");
}

#[tokio::test]
async fn waiting_in_vain_tells_what_was_there_instead() {
    let namespace = Namespace::create("waiting").await;
    namespace.create_object::<ConfigMap>(json!({ "metadata": { "name": "settings" }, "data": { "colour": "green" } })).await;
    let event: Value = json!({
        "metadata": { "name": "settings.1" }, "type": "Warning", "reason": "Faded", "message": "it was blue once",
        "involvedObject": { "kind": "ConfigMap", "name": "settings", "namespace": namespace.name() },
    });
    namespace.create_object::<Event>(event).await;
    let maps = namespace.api::<ConfigMap>();
    let blue = |map: &ConfigMap| map.data.as_ref().is_some_and(|data| data["colour"] == "blue");
    let waiting = wait::until_within(Duration::from_millis(500), &maps, "settings", "blue", blue);
    let panic = std::panic::AssertUnwindSafe(waiting).catch_unwind().await.unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    for wanted in ["settings is not blue", "colour: green", "Warning Faded: it was blue once"] {
        assert!(message.contains(wanted), "{message}");
    }
}
