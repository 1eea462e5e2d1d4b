//! An API server that is busy, wrong, silent or forgetful: jobs come to the same end all the same.

use crate::world::{World, holds};
use serde_json::json;
use std::time::Duration;
use temper_cluster_tests::proxy::{Fault, Request, Verb, Which};
use temper_cluster_tests::{FaultProxy, http, wait};

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

/// Lets requests for each of the kinds be refused.
fn refuse(proxy: &FaultProxy, which: Which, verb: Verb, code: u16) {
    for kind in KINDS {
        proxy.set(which, move |request| request.verb == verb && request.resource == kind, Fault::Refuse(code));
    }
}

/// How often each of the kinds was asked for.
fn asked(proxy: &FaultProxy, verb: Verb) -> [usize; 3] {
    KINDS.map(|kind| proxy.requests(|request| request.verb == verb && request.resource == kind).len())
}

/// Waits until so many of the kinds were asked for twice more.
async fn until_asked_again(proxy: &FaultProxy, verb: Verb, kinds: usize, before: [usize; 3]) {
    wait::eventually(wait::PATIENCE, "what is refused is asked for again", async || {
        let now = asked(proxy, verb);
        let are_asked = now.iter().zip(before).take(kinds).all(|(now, before)| *now >= before + 2);
        if are_asked { Ok(()) } else { Err(format!("{KINDS:?} were asked for {before:?} times before, {now:?} now")) }
    })
    .await;
}

/// Waits until a job is complete, with nothing tried twice.
async fn comes_to_its_end(world: &World, name: &str) {
    let job = world.state(name, "Complete").await;
    assert_eq!(job.status.map(|status| (status.restarts, status.attempt)), Some((0, Some(0))), "{name}");
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
    comes_to_its_end(&world, "before").await;

    world.running("first", 0, 2).await;
    let before = asked(&proxy, Verb::List);
    refuse(&proxy, Which::Every, Verb::List, code);
    world.operator.start_again();
    world.finish("first", 0).await;
    world.create("every", json!({})).await;
    until_asked_again(&proxy, Verb::List, 2, before).await;
    assert_eq!(http::get(world.operator.address(), "/livez").await.expect("it serves").status, 200, "a restart would not help");
    assert_eq!(http::get(world.operator.address(), "/readyz").await.expect("it serves").status, 503, "it knows nothing yet");
    proxy.heal();
    world.operator.ready().await;
    comes_to_its_end(&world, "first").await;
    world.finish("every", 0).await;
    comes_to_its_end(&world, "every").await;
}

/// Watches that end and may not begin again begin when they may, from where they ended.
async fn watches_are_refused(code: u16) {
    let proxy = FaultProxy::start();
    let mut world = World::behind(&format!("begins-{code}"), &proxy).await;
    for (name, which) in [("first", Which::First(2)), ("every", Which::Every)] {
        let before = asked(&proxy, Verb::Watch);
        refuse(&proxy, which, Verb::Watch, code);
        proxy.cut_watches();
        world.create(name, json!({})).await;
        until_asked_again(&proxy, Verb::Watch, KINDS.len(), before).await;
        proxy.heal();
        world.finish(name, 0).await;
        comes_to_its_end(&world, name).await;
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
    wait::eventually(wait::PATIENCE, "a status was refused three times", async || {
        let count = proxy.requests(writes_status).len();
        if count >= 3 { Ok(()) } else { Err(format!("{count} times")) }
    })
    .await;
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
    let before = proxy.requests(lists).len();
    proxy.set(Which::First(1), lists, Fault::Stall);
    world.operator.start_again();
    world.finish("tiny", 0).await;
    wait::eventually(wait::PATIENCE, "the listing that stood still is asked for again", async || {
        let now = proxy.requests(lists).len();
        if now >= before + 2 { Ok(()) } else { Err(format!("{before} before, {now} now")) }
    })
    .await;
    comes_to_its_end(&world, "tiny").await;
}

#[tokio::test]
async fn no_more_reconciles_than_asked_for_run_at_the_same_time() {
    let proxy = FaultProxy::start();
    let world = World::flagged("one-by-one", &["--concurrency", "1"], Some(&proxy)).await;
    let of_first = |request: &Request| request.is_write() && request.name.starts_with("first-");
    let of_second = |request: &Request| request.is_write() && request.name.starts_with("second");
    proxy.set(Which::Every, of_first, Fault::Swallow);
    world.create("first", json!({})).await;
    wait::eventually(wait::PATIENCE, "something of the first job is asked for", async || {
        if proxy.requests(of_first).is_empty() { Err("nothing is".to_owned()) } else { Ok(()) }
    })
    .await;
    world.create("second", json!({})).await;
    wait::eventually(wait::PATIENCE, "the second job waits for the first", async || {
        let page = world.operator.metrics().await;
        let waiting = "temper_operator_queue_depth{kind=\"FineTuneJob\"} 1";
        if page.lines().any(|line| line == waiting) { Ok(()) } else { Err(page) }
    })
    .await;
    assert_eq!(proxy.requests(of_second), []);
    proxy.heal();
    for name in ["first", "second"] {
        world.finish(name, 0).await;
        comes_to_its_end(&world, name).await;
    }
}
