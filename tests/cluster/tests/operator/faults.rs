//! An API server that is busy, wrong, silent or forgetful: jobs come to the same end all the same.

use crate::leader::until_it_says;
use crate::relist::{asked, until_asked};
use crate::world::{World, holds, until_requested};
use serde_json::json;
use std::time::Duration;
use temper_cluster_tests::proxy::{Fault, Request, Verb, Which};
use temper_cluster_tests::{FaultProxy, http};

/// What is listed and watched of a job, the jobs themselves last: the operator asks for them when it knows what belongs to them.
const KINDS: [&str; 3] = ["jobs", "pods", "finetunejobs"];

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
    world.comes_to_its_end("tiny").await;
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
    world.comes_to_its_end("tiny").await;
}

/// Lets requests for each of the kinds be refused.
fn refuse(proxy: &FaultProxy, which: Which, verb: Verb, code: u16) {
    for kind in KINDS {
        proxy.set(which, move |request| request.verb == verb && request.resource == kind, Fault::Refuse(code));
    }
}

/// An operator that starts while listings are refused waits for them, and sees what has happened meanwhile.
async fn listings_are_refused(code: u16) {
    let proxy = FaultProxy::start();
    let mut world = World::behind(&format!("lists-{code}"), &proxy).await;
    world.create("before", json!({})).await;
    world.running("before", 0, 2).await;
    refuse(&proxy, Which::First(3), Verb::List, code);
    world.operator.start_again();
    world.finish("before", 0).await;
    world.create("first", json!({})).await;
    world.operator.ready().await;
    world.comes_to_its_end("before").await;

    world.running("first", 0, 2).await;
    let before = asked(&proxy, Verb::List, &KINDS);
    refuse(&proxy, Which::Every, Verb::List, code);
    world.operator.start_again();
    world.finish("first", 0).await;
    world.create("every", json!({})).await;
    until_asked(&proxy, Verb::List, &KINDS[..2], &before, 2).await;
    assert_eq!(http::get(world.operator.address(), "/livez").await.expect("it serves").status, 200, "a restart would not help");
    assert_eq!(http::get(world.operator.address(), "/readyz").await.expect("it serves").status, 503, "it knows nothing yet");
    proxy.heal();
    world.operator.ready().await;
    world.comes_to_its_end("first").await;
    world.finish("every", 0).await;
    world.comes_to_its_end("every").await;
}

/// Watches that end and may not begin again begin when they may, from where they ended.
async fn watches_are_refused(code: u16) {
    let proxy = FaultProxy::start();
    let mut world = World::behind(&format!("begins-{code}"), &proxy).await;
    for (name, which) in [("first", Which::First(2)), ("every", Which::Every)] {
        let before = asked(&proxy, Verb::Watch, &KINDS);
        refuse(&proxy, which, Verb::Watch, code);
        proxy.cut_watches();
        world.create(name, json!({})).await;
        until_asked(&proxy, Verb::Watch, &KINDS, &before, 2).await;
        proxy.heal();
        world.finish(name, 0).await;
        world.comes_to_its_end(name).await;
    }
    assert!(world.operator.runs(), "{}", world.operator.log());
}

#[tokio::test]
async fn listings_that_a_busy_server_refuses_are_asked_for_again() {
    listings_are_refused(429).await;
}

#[tokio::test]
async fn listings_that_fail_in_the_server_are_asked_for_again() {
    listings_are_refused(500).await;
}

#[tokio::test]
async fn watches_that_a_busy_server_refuses_are_asked_for_again() {
    watches_are_refused(429).await;
}

#[tokio::test]
async fn watches_that_fail_in_the_server_are_asked_for_again() {
    watches_are_refused(500).await;
}

#[tokio::test]
async fn nothing_is_told_before_it_is_written() {
    let proxy = FaultProxy::start();
    let world = World::behind("unwritten", &proxy).await;
    let writes_status = |request: &Request| request.is_write() && request.subresource == "status";
    let tells = |request: &Request| request.is_write() && request.resource == "events";
    proxy.set(Which::Every, writes_status, Fault::Refuse(500));
    world.create("tiny", json!({})).await;
    until_requested(&proxy, 3, writes_status).await;
    assert_eq!(proxy.requests(tells), [], "an event says what no status does");
    proxy.heal();
    world.finish("tiny", 0).await;
    world.state("tiny", "Complete").await;
    assert!(!proxy.requests(tells).is_empty(), "the story is told");
}

/// Over HTTP/2 the connection lives on, and all other requests with it.
#[tokio::test]
async fn an_answer_that_stands_still_is_given_up_and_asked_for_again() {
    let proxy = FaultProxy::start();
    let mut world = World::behind("standing-still", &proxy).await;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    let lists = |request: &Request| request.verb == Verb::List && request.resource == "pods";
    let before = asked(&proxy, Verb::List, &["pods"]);
    proxy.set(Which::First(1), lists, Fault::Stall);
    world.operator.start_again();
    world.finish("tiny", 0).await;
    until_asked(&proxy, Verb::List, &["pods"], &before, 2).await;
    world.comes_to_its_end("tiny").await;
}

#[tokio::test]
async fn no_more_reconciles_than_asked_for_run_at_the_same_time() {
    let proxy = FaultProxy::start();
    let world = World::flagged("one-by-one", &["--concurrency", "1"], Some(&proxy)).await;
    let of_first = |request: &Request| request.is_write() && request.name.starts_with("first-");
    let of_second = |request: &Request| request.is_write() && request.name.starts_with("second");
    proxy.set(Which::Every, of_first, Fault::Swallow);
    world.create("first", json!({})).await;
    until_requested(&proxy, 1, of_first).await;
    world.create("second", json!({})).await;
    until_it_says(&world.operator, "temper_operator_queue_depth{kind=\"FineTuneJob\"} 1").await;
    assert_eq!(proxy.requests(of_second), []);
    proxy.heal();
    for name in ["first", "second"] {
        world.finish(name, 0).await;
        world.comes_to_its_end(name).await;
    }
}
