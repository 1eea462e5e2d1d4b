//! What is rendered is what a real API server takes, and what a namespace at the `restricted` level lets in.

use crate::modes::{all, helm, one};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use temper_chart_tests::{Manifest, repository};
use temper_cluster_tests::{ControlPlane, Namespace, binaries, wait};

/// Kinds of the Prometheus operator, which is not there. Its rules are loaded by a real Prometheus instead.
const UNKNOWN: &str = "monitoring.coreos.com/v1";

/// Applies an object as strictly as the API server can.
pub(crate) async fn apply(client: &Client, manifest: &Manifest) {
    let (group, version) = manifest.text("/apiVersion").rsplit_once('/').unwrap_or(("", manifest.text("/apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, manifest.kind()));
    let api: Api<DynamicObject> = match manifest.namespace() {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let params = PatchParams { force: true, ..PatchParams::apply("helm") }.validation_strict();
    let applied = api.patch(manifest.name(), &params, &Patch::Apply(&manifest.0)).await;
    applied.unwrap_or_else(|error| panic!("the API server refuses {} {}: {error}", manifest.kind(), manifest.name()));
}

/// A Deployment makes pods only if they are let in; nobody schedules them here.
async fn makes_its_pods(client: &Client, namespace: &str, name: &str) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let wanted = deployments.get(name).await.expect("it was applied").spec.and_then(|spec| spec.replicas);
    let has = |deployment: &Deployment| deployment.status.as_ref().and_then(|status| status.replicas) == wanted;
    wait::until(&deployments, name, "at its number of pods", has).await;
}

#[tokio::test]
async fn a_real_api_server_takes_the_chart_in_every_mode_and_lets_its_pods_in() {
    for mode in all() {
        let (namespace, team) = (Namespace::create("chart").await, Namespace::create("team").await);
        let client = namespace.client();
        let mut values = mode.values.clone();
        if !values["watchNamespace"].is_null() {
            values["watchNamespace"] = json!(team.name());
        }
        if values["serviceAccount"]["create"] == false {
            let name = &values["serviceAccount"]["name"];
            namespace.create_object::<ServiceAccount>(json!({ "metadata": { "name": name } })).await;
        }
        let manifests =
            helm().release("temper", namespace.name()).template(&values).unwrap_or_else(|error| panic!("{}: {error}", mode.name));
        for manifest in manifests.iter().filter(|manifest| manifest.text("/apiVersion") != UNKNOWN) {
            apply(&client, manifest).await;
        }
        let deployment = manifests.iter().find(|manifest| manifest.kind() == "Deployment").expect("the operator");
        makes_its_pods(&client, namespace.name(), deployment.name()).await;
    }
}

fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(binaries::kubernetes("kubectl"));
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments).current_dir(repository::path(""));
    let output = command.output().expect("kubectl can be started");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "kubectl {arguments:?}: {said}");
    said
}

fn admin() -> std::path::PathBuf {
    ControlPlane::shared().folder().join("admin.kubeconfig")
}

#[tokio::test]
async fn kubectl_installs_what_is_under_deploy_and_finds_nothing_to_change_the_second_time() {
    let kubeconfig = admin();
    let client = ControlPlane::shared().admin();
    let said = kubectl(&kubeconfig, &["apply", "-k", "deploy/"]);
    assert!(said.contains("deployment.apps/temper-operator created"), "{said}");
    makes_its_pods(&client, "temper-system", "temper-operator").await;
    let again = kubectl(&kubeconfig, &["apply", "-k", "deploy/"]);
    // Of a PodDisruptionBudget kubectl replaces the selector each time, by the same.
    let replaced = ["customresourcedefinition", "clusterrole", "poddisruptionbudget"];
    let looked_at = again.lines().filter(|line| !replaced.iter().any(|kind| line.starts_with(kind)));
    let changed: Vec<&str> = looked_at.filter(|line| !line.ends_with("unchanged")).collect();
    assert_eq!(changed, [""; 0], "{again}");
}

/// The samples are applied as their first lines say.
#[tokio::test]
async fn kubectl_applies_the_samples_where_pods_must_be_restricted() {
    let namespace = Namespace::create("samples").await;
    let namespaced = ["apply", "-n", namespace.name(), "--validate=strict"];
    let small = ["-f", "deploy/samples/cluster", "-f", "deploy/samples/finetunejob.yaml", "-f", "deploy/samples/modelversion.yaml"];
    let said = kubectl(&admin(), &[namespaced.as_slice(), small.as_slice()].concat());
    for made in ["persistentvolumeclaim/runs created", "pod/loader created", "finetunejob.temper.dev/listings created"] {
        assert!(said.contains(made), "no `{made}` in {said}");
    }
    let full = ["-f", "deploy/samples/reference/finetunejob.yaml"];
    assert!(kubectl(&admin(), &[namespaced.as_slice(), full.as_slice()].concat()).contains("finetunejob.temper.dev/listings-lora created"));
}

/// The API server knows what aggregation means; the test is that `edit` and `view` of Kubernetes end up with Temper's verbs.
#[tokio::test]
async fn the_default_roles_get_tempers_verbs() {
    let namespace = Namespace::create("people").await;
    let manifests = helm().release("temper", namespace.name()).template(&json!({})).expect("the chart renders");
    for name in ["temper-edit", "temper-view"] {
        apply(&namespace.client(), one(&manifests, "ClusterRole", name)).await;
    }
    let roles: Api<k8s_openapi::api::rbac::v1::ClusterRole> = Api::all(namespace.client());
    for (role, verb, expected) in [("edit", "create", true), ("view", "list", true), ("admin", "delete", true)] {
        let holds = |role: &k8s_openapi::api::rbac::v1::ClusterRole| {
            let rules: Value = serde_json::to_value(&role.rules).expect("plain data");
            let of_temper = rules.as_array().into_iter().flatten().filter(|rule| rule["apiGroups"] == json!(["temper.dev"]));
            of_temper.flat_map(|rule| rule["verbs"].as_array().cloned().unwrap_or_default()).any(|known| known == verb) == expected
        };
        wait::until(&roles, role, &format!("allowed to {verb} FineTuneJobs"), holds).await;
    }
    let view = roles.get("view").await.expect("it is there");
    let rules = serde_json::to_value(&view.rules).expect("plain data");
    let writes = rules
        .as_array()
        .into_iter()
        .flatten()
        .any(|rule| rule["apiGroups"] == json!(["temper.dev"]) && rule["verbs"].to_string().contains("create"));
    assert!(!writes, "{}: {rules}", view.name_any());
}
