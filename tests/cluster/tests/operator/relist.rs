//! Watches whose version is too old: all is listed anew, and what happened meanwhile comes by the listing alone.

use crate::leader::until_it_says;
use crate::world::World;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use temper_cluster_tests::proxy::{Fault, Request, Verb, Which};
use temper_cluster_tests::{FaultProxy, wait};

/// More jobs than come in one page of a listing.
const MANY: usize = 130;

fn asks(request: &Request, verb: Verb, resource: &str) -> bool {
    request.verb == verb && request.resource == resource
}

/// How often each of the resources was asked for.
pub(crate) fn asked(proxy: &FaultProxy, verb: Verb, resources: &[&'static str]) -> Vec<usize> {
    resources.iter().map(|resource| proxy.requests(|request| asks(request, verb, resource)).len()).collect()
}

/// Waits until each was asked for so many more times.
pub(crate) async fn until_asked(proxy: &FaultProxy, verb: Verb, resources: &[&'static str], before: &[usize], more: usize) {
    wait::eventually(wait::PATIENCE, "all is asked for again", async || {
        let now = asked(proxy, verb, resources);
        let are_asked = now.iter().zip(before).all(|(now, before)| *now >= before + more);
        if are_asked { Ok(()) } else { Err(format!("{resources:?} were asked for {before:?} times before, {now:?} now")) }
    })
    .await;
}

/// Breaks the watches of the resources; the next ones are told that their version is too old.
pub(crate) fn expire(proxy: &FaultProxy, resources: &[&'static str]) {
    for resource in resources.iter().copied() {
        proxy.set(Which::First(1), move |request| asks(request, Verb::Watch, resource), Fault::Expire);
    }
    proxy.cut_watches();
}

/// The same with listings that are refused until the switch is thrown: what happens before can only come by them.
async fn blinded(proxy: &FaultProxy, resources: &[&'static str]) -> Arc<AtomicBool> {
    let sees = Arc::new(AtomicBool::new(false));
    for resource in resources.iter().copied() {
        let switch = Arc::clone(&sees);
        let is_refused = move |request: &Request| asks(request, Verb::List, resource) && !switch.load(Ordering::Relaxed);
        proxy.set(Which::Every, is_refused, Fault::Refuse(500));
    }
    let before = asked(proxy, Verb::List, resources);
    expire(proxy, resources);
    until_asked(proxy, Verb::List, resources, &before, 1).await;
    sees
}

#[tokio::test]
async fn what_happens_while_versions_expire_is_not_lost() {
    let proxy = FaultProxy::start();
    let mut world = World::behind("expired", &proxy).await;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    let sees = blinded(&proxy, &["finetunejobs", "jobs", "pods"]).await;
    world.finish("tiny", 0).await;
    world.create("other", json!({})).await;
    sees.store(true, Ordering::Relaxed);
    world.comes_to_its_end("tiny").await;
    world.finish("other", 0).await;
    world.comes_to_its_end("other").await;
    assert!(world.operator.runs(), "{}", world.operator.log());
}

#[tokio::test]
async fn a_change_that_the_first_of_several_pages_brings_is_acted_on() {
    let proxy = FaultProxy::start();
    let world = World::behind("pages", &proxy).await;
    for number in 0..MANY {
        world.create(&format!("job-{number:03}"), json!({ "suspend": true })).await;
    }
    until_it_says(&world.operator, &format!("temper_finetunejobs{{phase=\"Active\",reason=\"Suspended\"}} {MANY}")).await;
    // Pages are in the order of names. The second one comes late, and then its token is too old, so that the first one comes twice.
    for (name, second_page) in [("job-000", Fault::Delay(Duration::from_secs(1))), ("job-001", Fault::Refuse(410))] {
        proxy.heal();
        let sees = blinded(&proxy, &["finetunejobs"]).await;
        let is_second = |request: &Request| asks(request, Verb::List, "finetunejobs") && request.uri.contains("continue=");
        let before = proxy.requests(is_second).len();
        proxy.set(Which::First(1), is_second, second_page);
        world.patch(name, json!({ "suspend": false })).await;
        sees.store(true, Ordering::Relaxed);
        // Nothing else touches the job: it has no pods yet, and the watch begins after the change.
        wait::until(&world.batch_jobs(), &format!("{name}-prepare-0"), "made", |_| true).await;
        assert!(proxy.requests(is_second).len() > before, "the listing had one page");
    }
}
