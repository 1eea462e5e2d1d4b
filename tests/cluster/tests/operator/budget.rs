//! What a job's life costs the API server, by the server's own record.

use crate::world::{World, metrics};
use serde_json::json;
use std::collections::BTreeSet;
use temper_cluster_tests::control_plane::AuditedRequest;
use temper_cluster_tests::{ControlPlane, wait};

/// The most writes of a life, events and live metrics apart.
const MOST_WRITES: usize = 14;

#[tokio::test]
async fn a_life_takes_few_writes_and_no_reads() {
    let world = World::new("budget").await;
    let user = format!("system:serviceaccount:{}:temper-operator", world.namespace.name());
    let audit = ControlPlane::shared().audit();
    let by_operator = |request: &AuditedRequest| request.user.username == user;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    world.page.set(metrics(15, 10));
    wait::until(&world.jobs(), "tiny", "at step 15", |job| {
        job.status.as_ref().and_then(|status| status.trainer_status.as_ref()).is_some_and(|trainer| trainer.step == 15)
    })
    .await;
    world.finish("tiny", 0).await;
    world.state("tiny", "Complete").await;
    let writes = |request: &AuditedRequest| by_operator(request) && request.is_write() && request.object_ref.resource != "events";
    // The log has a line once its request is answered; the last status was, or nobody would have seen it.
    let made = wait::eventually(wait::PATIENCE, "the last write is in the audit log", async || {
        let made = audit.requests(writes);
        let last = made.iter().filter(|request| request.object_ref.subresource == "status").count();
        if last >= 4 { Ok(made) } else { Err(format!("{last} status writes")) }
    })
    .await;
    let told: Vec<String> = made
        .iter()
        .map(|request| {
            let object = &request.object_ref;
            format!("{} {}/{} {}", request.verb, object.resource, object.subresource, object.name)
        })
        .collect();
    // One of the status writes is the live metrics.
    assert!(made.len() <= MOST_WRITES + 1, "{} writes: {told:#?}", made.len());
    // Each kind is listed once, when the operator starts: that is no job's doing. Nor is the look whether the CRDs are there.
    let reads = |request: &AuditedRequest| by_operator(request) && matches!(request.verb.as_str(), "get" | "list");
    let mut listed = BTreeSet::new();
    let mut made = audit.requests(reads);
    made.retain(|request| {
        let object = &request.object_ref;
        request.verb != "list" || !listed.insert((object.api_group.clone(), object.resource.clone()))
    });
    let told: Vec<&str> = made.iter().map(|request| request.request_uri.as_str()).filter(|uri| uri.contains("/namespaces/")).collect();
    assert!(told.is_empty(), "{told:#?}");
}
