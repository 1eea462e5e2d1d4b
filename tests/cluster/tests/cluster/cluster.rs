//! The cluster itself: what the tests of Temper in it stand on.

use std::os::unix::fs::PermissionsExt;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::LogParams;
use serde_json::{Value, json};
use temper_cluster_tests::nodes::{NAMES, Nodes};
use temper_cluster_tests::{Namespace, binaries, wait};

/// Reaches the API server by its name, with the token of the pod's service account.
const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://kubernetes.default.svc', certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt}}]
users: [{name: u, user: {tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
";

/// A pod that runs kubectl, which it finds in the claim `tools`: the one program that is there without a registry.
fn kubectl_pod(name: &str, node: &str, arguments: &[&str]) -> Value {
    json!({
        "metadata": { "name": name, "labels": { "app": "peers" } },
        "spec": {
            "nodeName": node, "hostname": name, "subdomain": "peers", "restartPolicy": "Never", "serviceAccountName": "reader",
            "terminationGracePeriodSeconds": 0,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "kubectl", "image": "localhost/pause:test", "imagePullPolicy": "Never",
                "command": ["/tools/kubectl"], "args": arguments,
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
                },
                "volumeMounts": [{ "name": "tools", "mountPath": "/tools" }],
            }],
            "volumes": [{ "name": "tools", "persistentVolumeClaim": { "claimName": "tools" } }],
        },
    })
}

async fn ended(namespace: &Namespace, name: &str) -> (String, String) {
    let pods = namespace.api::<Pod>();
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let pod = wait::until(&pods, name, "ended", |pod| matches!(phase(pod).as_str(), "Succeeded" | "Failed")).await;
    (phase(&pod), pods.logs(name, &LogParams::default()).await.unwrap())
}

#[tokio::test]
async fn pods_of_both_nodes_share_volumes_know_each_other_by_name_and_reach_the_api_server() {
    let nodes = Nodes::around().await;
    let namespace = nodes.namespace("pods").await;
    let tools = nodes.claim(&namespace, "tools").await;
    std::fs::copy(binaries::kubernetes("kubectl"), tools.join("kubectl")).unwrap();
    std::fs::set_permissions(tools.join("kubectl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(tools.join("kubeconfig"), KUBECONFIG).unwrap();
    let rules = [PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["pods".to_owned()]),
        verbs: vec!["list".to_owned()],
        ..PolicyRule::default()
    }];
    namespace.service_account("reader", &rules).await;
    let service = json!({
        "metadata": { "name": "peers" },
        "spec": { "clusterIP": "None", "selector": { "app": "peers" }, "publishNotReadyAddresses": true, "ports": [{ "port": 8001 }] },
    });
    namespace.create_object::<Service>(service).await;
    let [first, second] = NAMES;
    let list = ["--namespace", namespace.name(), "get", "pods", "--output", "name"];

    // The first serves the API to its peers, as whoever its token says.
    let serve = ["proxy", "--address=0.0.0.0", "--accept-hosts=.*", "--port=8001"];
    namespace.create_object::<Pod>(kubectl_pod("server", first, &serve)).await;
    let pods = namespace.api::<Pod>();
    wait::until(&pods, "server", "running", |pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running")))
        .await;

    let by_api = [&["--kubeconfig=/tools/kubeconfig"], list.as_slice()].concat();
    namespace.create_object::<Pod>(kubectl_pod("by-api", second, &by_api)).await;
    let (phase, log) = ended(&namespace, "by-api").await;
    assert!(phase == "Succeeded" && log.contains("pod/server"), "{phase}:\n{log}");

    let by_peer = [&["--server=http://server.peers:8001"], list.as_slice()].concat();
    namespace.create_object::<Pod>(kubectl_pod("by-peer", second, &by_peer)).await;
    let (phase, log) = ended(&namespace, "by-peer").await;
    assert!(phase == "Succeeded" && log.contains("pod/server"), "{phase}:\n{log}");
}

#[tokio::test]
async fn a_claim_of_the_default_class_is_bound() {
    let nodes = Nodes::around().await;
    let namespace = nodes.namespace("claims").await;
    let claim = json!({
        "metadata": { "name": "run" },
        "spec": { "accessModes": ["ReadWriteMany"], "resources": { "requests": { "storage": "50Gi" } } },
    });
    namespace.create_object::<PersistentVolumeClaim>(claim).await;
    let claims = namespace.api::<PersistentVolumeClaim>();
    let bound = |claim: &PersistentVolumeClaim| claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
    let claim = wait::until(&claims, "run", "bound", bound).await;
    let volume = claim.spec.unwrap().volume_name.unwrap();
    assert!(nodes.folder_of_volume(&volume).is_dir(), "{volume}");
}
