//! The leases of played nodes, renewed as kubelets do.
//!
//! They go on after a test has ended: if its nodes went silent, the node lifecycle controller would mark them, evict their pods, and
//! (seeing most nodes of a cluster silent) evict more slowly in the tests that still run.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio::time::interval;

use crate::background::{self, Task};

/// As often as a kubelet; the node lifecycle controller loses patience after 50 s.
const PERIOD: Duration = Duration::from_secs(10);

/// Keeps nodes alive until they are lost or the control plane ends.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    nodes: Arc<Mutex<BTreeSet<String>>>,
    _task: Task,
}

impl Heartbeats {
    pub(super) fn start(admin: impl FnOnce() -> Client + Send + 'static) -> Self {
        let nodes = Arc::new(Mutex::new(BTreeSet::new()));
        let alive = Arc::clone(&nodes);
        let task = background::spawn(async move {
            let client = admin();
            let mut beats = interval(PERIOD);
            loop {
                beats.tick().await;
                let now: Vec<String> = alive.lock().expect("no holder panics").iter().cloned().collect();
                for node in now {
                    // The next beat tries again; there are several before anyone's patience ends.
                    let _ = renew(&client, &node).await;
                }
            }
        });
        Self { nodes, _task: task }
    }

    /// Keeps a node alive from now on.
    pub(crate) async fn keep(&self, client: &Client, node: &str) -> kube::Result<()> {
        renew(client, node).await?;
        self.nodes.lock().expect("no holder panics").insert(node.to_owned());
        Ok(())
    }

    /// Lets a node fall silent.
    pub(crate) fn lose(&self, node: &str) {
        self.nodes.lock().expect("no holder panics").remove(node);
    }
}

async fn renew(client: &Client, node: &str) -> kube::Result<()> {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": node },
        "spec": { "holderIdentity": node, "leaseDurationSeconds": 40, "renewTime": format!("{:.6}", Timestamp::now()) },
    });
    let leases = Api::<Lease>::namespaced(client.clone(), "kube-node-lease");
    leases.patch(node, &PatchParams::apply("played-kubelet").force(), &Patch::Apply(lease)).await.map(drop)
}
