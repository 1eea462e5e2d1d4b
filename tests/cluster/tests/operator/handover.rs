//! An operator that is asked to stop while it is at work: it finishes that, and another goes on without doing it again.

use crate::leader::{LONG, until_led_by};
use crate::world::{World, until_requested};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;
use std::sync::{Arc, Mutex, mpsc};
use temper_cluster_tests::operator::OperatorOptions;
use temper_cluster_tests::proxy::{Fault, Hook, Request, Verb, Which};
use temper_cluster_tests::{FaultProxy, wait};

fn makes_the_training_job(request: &Request) -> bool {
    request.verb == Verb::Patch && request.resource == "jobs" && request.name == "tiny-a0"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_in_flight_is_finished_before_another_replica_leads() {
    let proxy = FaultProxy::start();
    let flags = [&["--leader-election", "true"][..], &LONG[..]].concat();
    let mut world = World::flagged("handover", &flags, Some(&proxy)).await;
    until_led_by(&world.namespace, "operator-0").await;
    let credentials = world.namespace.token("temper-operator").await;
    let mut second = OperatorOptions::new(&world.namespace, &credentials).identity("operator-1").flags(LONG).start();
    second.ready().await;

    let (go_on, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    // A test that has failed lets it go on, too.
    let hold: Hook = Arc::new(move |_| {
        let _ = held.lock().expect("no holder panics").recv_timeout(wait::PATIENCE);
    });
    proxy.set(Which::First(1), makes_the_training_job, Fault::Before(hold));
    world.create("tiny", json!({})).await;
    until_requested(&proxy, 1, makes_the_training_job).await;
    world.operator.ask_to_stop();
    wait::eventually(wait::PATIENCE, "it knows that it is to stop", async || {
        let log = world.operator.log();
        if log.contains("asked to stop") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(world.operator.runs(), "it left its work undone: {}", world.operator.log());
    until_led_by(&world.namespace, "operator-0").await;
    go_on.send(()).expect("the request is held");
    let code = world.operator.ended().await;
    assert_eq!(code, 0, "{}", world.operator.log());
    let written = proxy.requests(|request| request.is_write() && !matches!(request.resource.as_str(), "leases" | "events"));
    let made = written.iter().position(makes_the_training_job).expect("it was held above");
    assert!(written[made..].iter().any(|request| request.subresource == "status"), "what it made is not told: {written:#?}");
    let made = world.batch_jobs().get("tiny-a0").await.expect("it was made before the end");

    until_led_by(&world.namespace, "operator-1").await;
    world.finish("tiny", 0).await;
    world.comes_to_its_end("tiny").await;
    let trainings = world.batch_jobs().list(&ListParams::default().labels("temper.dev/stage=train")).await.expect("listable").items;
    let found: Vec<_> = trainings.iter().map(|job| (job.name_any(), job.uid())).collect();
    assert_eq!(found, [("tiny-a0".to_owned(), made.uid())]);
}
