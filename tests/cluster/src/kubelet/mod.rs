//! Nodes and a kubelet that are played: pods get a node, run and end as the test says, with no container behind them.
//!
//! Everything else about the pods is real: the Job controller counts them, the node lifecycle controller evicts them, the garbage
//! collector deletes them, and the API server checks each status that is written here.

mod nodes;
mod play;
mod pod_status;
mod step;
mod worker;

pub use play::{End, Play};

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeFrom;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::background::{self, Task};
use crate::control_plane::ControlPlane;
use crate::namespace::Namespace;
use crate::{loopback, wait};
use nodes::PlayedNode;
use worker::{Orders, Worker};

type Script = dyn Fn(&Pod) -> Play + Send + Sync;

/// The kubelet of all nodes of one namespace. It ends when dropped; its nodes stay, ready.
pub struct PlayedKubelet {
    pods: Api<Pod>,
    nodes: Vec<PlayedNode>,
    orders: watch::Sender<Orders>,
    _task: Task,
}

impl PlayedKubelet {
    /// Plays every pod of a namespace, each as the script says when it is first seen, on as many nodes in turn.
    ///
    /// # Panics
    /// When the API server refuses a node.
    pub async fn start(namespace: &Namespace, nodes: usize, script: impl Fn(&Pod) -> Play + Send + Sync + 'static) -> Self {
        let client = namespace.client();
        let mut played = Vec::new();
        for number in 0..nodes {
            played.push(nodes::create(&client, namespace.name(), number).await);
        }
        let orders = watch::Sender::new(Orders::default());
        let admin = ControlPlane::shared().admin_elsewhere();
        let (name, on, receiver) = (namespace.name().to_owned(), played.clone(), orders.subscribe());
        let task = background::spawn(async move { play(admin(), &name, &on, Arc::new(script), receiver).await });
        Self { pods: namespace.api(), nodes: played, orders, _task: task }
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Ends a pod once it runs, and returns it as it is then.
    ///
    /// # Panics
    /// When it does not come to run.
    pub async fn end(&self, pod: &str, end: End) -> Pod {
        let running = wait::until(&self.pods, pod, "running", |pod| phase(pod) == Some("Running")).await;
        self.order(&running, end);
        wait::until(&self.pods, pod, "ended", |pod| matches!(phase(pod), Some("Succeeded" | "Failed"))).await
    }

    /// Ends a pod that is being deleted and has not ended by itself (see [`Play::ignoring_stop`]), and waits until it is gone.
    ///
    /// # Panics
    /// When it is not deleted, or does not go.
    pub async fn end_stopped(&self, pod: &str, end: End) {
        let stopped = wait::until(&self.pods, pod, "being deleted", |pod| pod.metadata.deletion_timestamp.is_some()).await;
        self.order(&stopped, end);
        wait::gone(&self.pods, pod).await;
    }

    fn order(&self, pod: &Pod, end: End) {
        let uid = pod.uid().expect("a pod of the API has a UID");
        self.orders.send_modify(|orders| {
            orders.ends.insert(uid, end);
        });
    }

    /// Preempts a pod as the scheduler does for one of higher priority.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub async fn preempt(&self, pod: &str) {
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": "preempting to accommodate a higher priority pod", "lastTransitionTime": jiff::Timestamp::now(),
        });
        let status = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
        self.pods.patch_status(pod, &PatchParams::default(), &status).await.unwrap_or_else(|error| panic!("the status of {pod}: {error}"));
        self.pods.delete(pod, &DeleteParams::default()).await.unwrap_or_else(|error| panic!("cannot delete {pod}: {error}"));
    }

    /// Lets a node fall silent: its pods stay as they are, whatever is asked of them, and the node lifecycle controller marks it and
    /// evicts them after their toleration. At least one node of the namespace must stay.
    ///
    /// # Panics
    /// When no node has that name.
    pub async fn lose(&self, node: &str) {
        let node = self.node(node);
        assert!(self.nodes.len() > 1, "Kubernetes evicts nothing where all nodes are silent: play two nodes");
        self.orders.send_modify(|orders| {
            orders.lost.insert(node.name.clone());
        });
        nodes::lose(&self.pods.clone().into_client(), node).await;
    }

    /// Lets a silent node speak again: what was asked of its pods meanwhile is done now.
    ///
    /// # Panics
    /// When no node has that name.
    pub async fn recover(&self, node: &str) {
        let node = self.node(node);
        nodes::recover(&self.pods.clone().into_client(), node).await;
        self.orders.send_modify(|orders| {
            orders.lost.remove(&node.name);
        });
    }

    fn node(&self, name: &str) -> &PlayedNode {
        let node = self.nodes.iter().find(|node| node.name == name);
        node.unwrap_or_else(|| panic!("no node is named {name}; there are {:?}", self.nodes().collect::<Vec<_>>()))
    }
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// Watches the pods of a namespace and gives each a worker.
async fn play(client: Client, namespace: &str, nodes: &[PlayedNode], script: Arc<Script>, orders: watch::Receiver<Orders>) {
    let pods = Api::<Pod>::namespaced(client, namespace);
    let mut turn = 0..;
    let mut known: BTreeMap<String, watch::Sender<Pod>> = BTreeMap::new();
    let mut workers = JoinSet::new();
    let mut changes = std::pin::pin!(watcher(pods.clone(), watcher::Config::default()).default_backoff());
    while let Some(change) = changes.next().await {
        // A failed watch starts again by itself.
        let Ok(change) = change else { continue };
        match change {
            Event::Apply(pod) | Event::InitApply(pod) => {
                let Some(uid) = pod.uid() else { continue };
                if let Some(changes) = known.get(&uid) {
                    // A worker that has ended needs to know nothing.
                    let _ = changes.send(pod);
                    continue;
                }
                let node = next_node(nodes, &mut turn, &orders.borrow().lost);
                let worker = Worker { pods: pods.clone(), play: script(&pod), node, address: loopback::address() };
                let (sender, receiver) = watch::channel(pod);
                known.insert(uid, sender);
                workers.spawn(worker.run(receiver, orders.clone()));
            }
            Event::Delete(pod) => {
                pod.uid().and_then(|uid| known.remove(&uid));
            }
            Event::Init | Event::InitDone => {}
        }
    }
}

/// The node whose turn it is, of those that are not silent.
fn next_node(nodes: &[PlayedNode], turn: &mut RangeFrom<usize>, lost: &BTreeSet<String>) -> PlayedNode {
    let alive: Vec<_> = nodes.iter().filter(|node| !lost.contains(&node.name)).collect();
    let number = turn.next().unwrap_or_default();
    alive.get(number % alive.len().max(1)).copied().unwrap_or(&nodes[0]).clone()
}
