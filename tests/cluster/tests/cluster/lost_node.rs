//! A machine that hangs while a job runs on it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt};
use temper_cluster_tests::{Nodes, wait};

use crate::job::{Place, SAVE_STEPS, STEPS};
use crate::release;

/// Little enough that one node can run both of the job's.
const LITTLE: &str = "200m";
/// Kubernetes gives a silent node 50 s, and a node that is back takes its time to say so.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn a_job_leaves_a_node_that_is_lost_and_makes_the_model_of_a_local_run() {
    let nodes = Nodes::alone().await;
    let api = Api::<Node>::all(nodes.admin().await);
    release::install(&nodes).await;
    let place = Place::create(&nodes, "lost-node", LITTLE).await;
    let before = place.running(0).await;
    let lost = node_of(&before[1]).to_owned();
    place.checkpoint(0, SAVE_STEPS).await;

    // With it hangs whichever replica of the operator is on it.
    let frozen = nodes.freeze(&lost);
    wait::until_within(PATIENCE, &api, &lost, "not ready", |node| !is_ready(node)).await;
    let after = place.running(1).await;
    assert!(after.iter().all(|pod| node_of(pod) != lost), "{lost} is lost");
    assert!(place.resumed_from(1).await >= SAVE_STEPS);
    place.checkpoint(1, STEPS / 2).await;

    // The machine is back, and with it ranks and perhaps a leader that do not know what they have missed.
    drop(frozen);
    let job = place.state("Complete").await;
    assert_eq!(job.status.as_ref().map(|status| status.restarts), Some(0), "a lost machine is not the job's failure");
    place.model().await.is_that_of_a_local_run();
    for pod in &before {
        wait::gone::<Pod>(&place.namespace.api(), &pod.name_any()).await;
    }
    wait::until_within(PATIENCE, &api, &lost, "ready", is_ready).await;
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}
