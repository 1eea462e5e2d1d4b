//! An API server that is busy, wrong, silent or forgetful: jobs come to the same end all the same.

use crate::world::{World, holds};
use serde_json::json;
use std::time::Duration;
use temper_cluster_tests::FaultProxy;
use temper_cluster_tests::proxy::{Fault, Request, Which};

fn writes(request: &Request) -> bool {
    request.is_write()
}

#[tokio::test]
async fn refused_and_lost_writes_are_made_again() {
    let table = [
        ("conflict", Fault::Refuse(409)),
        ("busy", Fault::Refuse(429)),
        ("broken", Fault::Refuse(500)),
        ("lying", Fault::Lie(500)),
        ("lost", Fault::LoseAnswer),
        ("slow", Fault::Delay(Duration::from_millis(300))),
    ];
    for (purpose, fault) in table {
        let proxy = FaultProxy::start();
        let world = World::behind(purpose, &proxy).await;
        proxy.set(Which::First(6), writes, fault);
        world.create("tiny", json!({})).await;
        world.finish("tiny", 0).await;
        let job = world.state("tiny", "Complete").await;
        let status = job.status.as_ref().expect("it has one");
        assert!(holds(&job, "ModelRegistered"), "{purpose}");
        assert_eq!((status.restarts, status.attempt), (0, Some(0)), "{purpose}");
        assert_eq!(status.model_version.as_ref().and_then(|model| model.version), Some(1), "{purpose}: registered once");
    }
}

#[tokio::test]
async fn watches_that_break_at_every_stage_lose_nothing() {
    let proxy = FaultProxy::start();
    let world = World::behind("watches", &proxy).await;
    world.create("tiny", json!({})).await;
    proxy.cut_watches();
    world.running("tiny", 0, 2).await;
    proxy.cut_watches();
    world.finish("tiny", 0).await;
    proxy.cut_watches();
    let job = world.state("tiny", "Complete").await;
    assert_eq!(job.status.map(|status| (status.restarts, status.attempt)), Some((0, Some(0))));
}

#[tokio::test]
async fn an_api_server_that_falls_silent_is_waited_out_and_training_goes_on() {
    let proxy = FaultProxy::start();
    let world = World::behind("silent", &proxy).await;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    proxy.set(Which::Every, |_| true, Fault::Swallow);
    proxy.cut_watches();
    // The pods end while the operator hears nothing.
    world.finish("tiny", 0).await;
    proxy.heal();
    let job = world.state("tiny", "Complete").await;
    assert_eq!(job.status.map(|status| (status.restarts, status.attempt)), Some((0, Some(0))));
}
