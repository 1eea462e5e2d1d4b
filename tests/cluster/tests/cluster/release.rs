//! The chart with our images, installed by Helm as a user installs it.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use temper_cluster_tests::Nodes;
use temper_cluster_tests::helm::helm;
use tokio::sync::Mutex;

/// The release's namespace.
pub(crate) const NAMESPACE: &str = "temper-system";
/// The release's name.
const NAME: &str = "temper";

/// Installs the operator, if it is not there, and waits until it is ready.
///
/// # Panics
/// When Helm fails.
pub(crate) async fn install(nodes: &Nodes) {
    static INSTALLING: Mutex<()> = Mutex::const_new(());
    let _one_at_a_time = INSTALLING.lock().await;
    let image = |name: &str| json!({ "repository": format!("localhost/{name}"), "tag": "test", "pullPolicy": "Never" });
    let values = json!({
        "image": image("temper-operator"),
        "trainer": { "image": image("temper-trainer") },
        // Tests look at steps of a second.
        "scrapeInterval": "2s",
    });
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/temper");
    let chart = chart.to_str().expect("the repository's path is text");
    let arguments = ["upgrade", NAME, chart, "--install", "--create-namespace", "--wait", "--timeout", "3m", "--values", "-"];
    helm(&nodes.kubeconfig(), NAMESPACE, &arguments, &values.to_string()).succeeded("helm upgrade --install");
}

/// Runs the chart's own test.
///
/// # Panics
/// When it fails.
pub(crate) fn test(nodes: &Nodes) {
    helm(&nodes.kubeconfig(), NAMESPACE, &["test", NAME, "--logs", "--timeout", "2m"], "").succeeded("helm test");
}

/// Uninstalls the operator and waits until its pods are gone.
///
/// # Panics
/// When Helm fails.
pub(crate) fn uninstall(nodes: &Nodes) {
    helm(&nodes.kubeconfig(), NAMESPACE, &["uninstall", NAME, "--wait", "--timeout", "2m"], "").succeeded("helm uninstall");
}

/// The operator's pods.
pub(crate) async fn pods(nodes: &Nodes) -> Vec<Pod> {
    let selector = ListParams::default().labels("app.kubernetes.io/name=temper,app.kubernetes.io/component=operator");
    Api::<Pod>::namespaced(nodes.admin().await, NAMESPACE).list(&selector).await.unwrap().items
}
