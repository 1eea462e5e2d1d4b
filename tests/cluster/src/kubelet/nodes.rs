//! Nodes without machines.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::{loopback, wait};

/// The taint that evicts pods from a silent node.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// The taint of a node that was never ready.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// A node and its address.
#[derive(Clone, Debug)]
pub(super) struct PlayedNode {
    pub(super) name: String,
    pub(super) address: IpAddr,
}

/// Makes a node that is ready and stays so. It is in a zone of its namespace's own: the node lifecycle controller evicts more slowly where
/// much of a zone is silent, and tests that lose nodes must not slow each other down.
pub(super) async fn create(client: &Client, namespace: &str, number: usize) -> PlayedNode {
    let node = PlayedNode { name: format!("{namespace}-node-{number}"), address: loopback::address().into() };
    let object = serde_json::from_value(json!({
        "metadata": { "name": node.name, "labels": {
            "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": namespace,
        } },
    }));
    let nodes = Api::<Node>::all(client.clone());
    let object = object.expect("the node above is one");
    nodes.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("node {}: {error}", node.name));
    let kept = ControlPlane::shared().heartbeats().keep(client, &node.name).await;
    kept.unwrap_or_else(|error| panic!("the lease of node {}: {error}", node.name));
    report(client, &node, "True", "KubeletReady", "played").await;
    // Pods that came before would be evicted.
    wait::until(&nodes, &node.name, "free of taints", |node| !is_tainted(node, NOT_READY)).await;
    node
}

/// Lets a node fall silent and waits until the node lifecycle controller has noticed. It would need 50 s by itself: its verdict is
/// written for it, and what follows from the verdict is its own work.
pub(super) async fn lose(client: &Client, node: &PlayedNode) {
    ControlPlane::shared().heartbeats().lose(&node.name);
    report(client, node, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.").await;
    let nodes = Api::<Node>::all(client.clone());
    wait::until(&nodes, &node.name, "tainted as unreachable", |node| is_tainted(node, UNREACHABLE)).await;
}

/// Lets a silent node speak again and waits until the node lifecycle controller has noticed.
pub(super) async fn recover(client: &Client, node: &PlayedNode) {
    let kept = ControlPlane::shared().heartbeats().keep(client, &node.name).await;
    kept.unwrap_or_else(|error| panic!("the lease of node {}: {error}", node.name));
    report(client, node, "True", "KubeletReady", "played").await;
    let nodes = Api::<Node>::all(client.clone());
    wait::until(&nodes, &node.name, "free of taints", |node| !is_tainted(node, UNREACHABLE)).await;
}

async fn report(client: &Client, node: &PlayedNode, ready: &str, reason: &str, message: &str) {
    let now = Timestamp::now();
    let capacity = json!({ "cpu": "64", "memory": "512Gi", "pods": "1000", "nvidia.com/gpu": "8" });
    let status: Value = json!({ "status": {
        "capacity": capacity,
        "allocatable": capacity,
        "addresses": [{ "type": "InternalIP", "address": node.address }],
        "conditions": [{
            "type": "Ready", "status": ready, "reason": reason, "message": message,
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        }],
    } });
    let nodes = Api::<Node>::all(client.clone());
    let written = nodes.patch_status(&node.name, &PatchParams::default(), &Patch::Strategic(status)).await;
    written.unwrap_or_else(|error| panic!("the status of node {}: {error}", node.name));
}

fn is_tainted(node: &Node, key: &str) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    taints.iter().any(|taint| taint.key == key && taint.effect == "NoExecute")
}
