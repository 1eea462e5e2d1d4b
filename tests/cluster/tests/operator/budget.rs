//! What a job's life costs the API server, by the server's own record.

use crate::world::{World, metrics};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use temper_cluster_tests::control_plane::AuditedRequest;
use temper_cluster_tests::{ControlPlane, wait};
use temper_crds::FineTuneJob;

/// The most writes of a life, events and live metrics apart.
const MOST_WRITES: usize = 14;
/// Seconds between two writes of live metrics, and nothing else, by default.
const LIVE_SECONDS: i64 = 15;

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

#[tokio::test]
async fn live_metrics_are_written_once_an_interval_however_often_they_change() {
    let interval = format!("{LIVE_SECONDS}s");
    let world = World::flagged("live", &["--scrape-interval", interval.as_str()], None).await;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    world.state("tiny", "Training").await;
    let began = Timestamp::now();
    // When the trainer said what a version of the job tells, by the version.
    let told: RefCell<BTreeMap<String, Timestamp>> = RefCell::default();
    let is_told = |job: &FineTuneJob| {
        if let (Some(version), Some(said)) = (job.resource_version(), said_at(job)) {
            told.borrow_mut().insert(version, said);
        }
        told.borrow().len() >= 3
    };
    let jobs = world.jobs();
    let told_thrice = wait::until(&jobs, "tiny", "told thrice to go on", is_told);
    let mut turn = 0_u32;
    let goes_on = wait::eventually(wait::PATIENCE, "three versions tell how training goes on", async || {
        turn += 1;
        let loss = format!("{}\n", 2.0 + f64::from(turn) / 100.0);
        world.page.set(metrics(5, 0).replace("1.25\n", &loss));
        let versions = told.borrow().len();
        if versions >= 3 { Ok(()) } else { Err(format!("{versions} do")) }
    });
    tokio::join!(told_thrice, goes_on);
    let mut said: Vec<Timestamp> = told.borrow().values().copied().collect();
    said.sort_unstable();
    for pair in said.windows(2) {
        let apart = pair[1].as_second() - pair[0].as_second();
        assert!(apart >= LIVE_SECONDS - 1, "{apart} s apart: {said:?}");
    }
    // Nor were there any that changed nothing.
    let user = format!("system:serviceaccount:{}:temper-operator", world.namespace.name());
    let made = ControlPlane::shared().audit().requests(|request| {
        let is_status = request.object_ref.resource == "finetunejobs" && request.object_ref.subresource == "status";
        request.user.username == user && is_status && request.request_received_timestamp.is_some_and(|at| at > began)
    });
    assert!(made.len() <= said.len(), "{made:#?}");
}

/// When the trainer said what the job tells of it.
fn said_at(job: &FineTuneJob) -> Option<Timestamp> {
    let trainer = job.status.as_ref()?.trainer_status.as_ref()?;
    trainer.last_updated_time.as_ref().map(|time| time.0)
}
