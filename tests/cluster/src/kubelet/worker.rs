//! One pod's life on a played node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::nodes::PlayedNode;
use super::play::{End, Play};
use super::pod_status;
use super::step::{self, Step};
use crate::background::Task;

/// What the test has ordered so far.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// How pods end, by UID.
    pub(super) ends: BTreeMap<String, End>,
    /// The nodes that are silent.
    pub(super) lost: BTreeSet<String>,
}

/// How long to wait after a refused request before it is made again.
const RETRY: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    pub(super) pods: Api<Pod>,
    pub(super) play: Play,
    /// Where the pod goes.
    pub(super) node: PlayedNode,
    pub(super) address: Ipv4Addr,
}

impl Worker {
    /// Plays until the pod is gone.
    pub(super) async fn run(self, mut changes: watch::Receiver<Pod>, mut orders: watch::Receiver<Orders>) {
        let mut pod = changes.borrow_and_update().clone();
        let mut page = None;
        loop {
            let step = {
                let orders = orders.borrow_and_update();
                let lost = step::node_name(&pod).is_some_and(|node| orders.lost.contains(node));
                step::next(&pod, &self.play, pod.uid().and_then(|uid| orders.ends.get(&uid)), lost, Timestamp::now())
            };
            let wake = match step {
                Step::Wait => None,
                Step::WaitUntil(time) => Some(Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default()),
                step => match self.perform(&step, &pod, &mut page).await {
                    Ok(Some(written)) => {
                        pod = written;
                        continue;
                    }
                    Ok(None) => None,
                    // Someone else changed or deleted the pod: the change is about to arrive.
                    Err(_) => Some(RETRY),
                },
            };
            let woken = async {
                match wake {
                    Some(duration) => tokio::time::sleep(duration).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let seen = changes.borrow_and_update().clone();
                    // What was written here comes back later than it is known.
                    if version(&seen) >= version(&pod) {
                        pod = seen;
                    }
                }
                changed = orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = woken => {}
            }
        }
    }

    /// Carries a step out; the pod as it is afterwards, where the answer holds it.
    async fn perform(&self, step: &Step, pod: &Pod, page: &mut Option<Task>) -> kube::Result<Option<Pod>> {
        let (name, now) = (pod.name_any(), Timestamp::now());
        let status = match step {
            Step::Wait | Step::WaitUntil(_) => return Ok(None),
            Step::Bind => {
                let binding = json!({
                    "apiVersion": "v1",
                    "kind": "Binding",
                    "metadata": { "name": name, "uid": pod.uid() },
                    "target": { "kind": "Node", "name": self.node.name },
                });
                // The answer is no pod.
                let _: Value = self.pods.create_subresource("binding", &name, &PostParams::default(), &binding).await?;
                return Ok(None);
            }
            Step::Remove => {
                let parameters = DeleteParams {
                    grace_period_seconds: Some(0),
                    preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
                    ..DeleteParams::default()
                };
                self.pods.delete(&name, &parameters).await?;
                return Ok(None);
            }
            Step::ReportUnschedulable(message) => pod_status::unschedulable(message, now),
            Step::ReportWaiting(reason, message) => pod_status::waiting(pod, reason, message, now),
            Step::ReportRunning => {
                if let (None, Some((port, served))) = (&page, &self.play.page) {
                    *page = Some(served.serve(SocketAddr::from((self.address, *port))));
                }
                pod_status::running(pod, IpAddr::from(self.address), self.node.address, now)
            }
            Step::ReportEnded(end) => {
                *page = None;
                pod_status::ended(pod, end, now)
            }
        };
        self.pods.patch_status(&name, &PatchParams::default(), &Patch::Strategic(status)).await.map(Some)
    }
}

/// Resource versions of one kind of object are numbers that grow.
fn version(pod: &Pod) -> u64 {
    pod.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}
