//! Rights without which the operator cannot tell or see what happens: nothing is started twice, and all is made up for later.

use crate::refusals::may_not;
use crate::relist::{asked, expire, until_asked};
use crate::world::{World, condition};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;
use std::time::Duration;
use temper_cluster_tests::proxy::{Request, Verb};
use temper_cluster_tests::{ControlPlane, FaultProxy, wait};

/// A refused write is tried again after up to a minute.
const UNTIL_IT_TRIES_AGAIN: Duration = Duration::from_secs(150);

/// Waits until the API server goes by the role as it is: the operator may not do this any more.
async fn until_forbidden(world: &World, group: &str, resource: &str, subresource: &str, verb: &str) {
    let credentials = world.namespace.token("temper-operator").await;
    let control_plane = ControlPlane::shared();
    let reviews: Api<SelfSubjectAccessReview> = Api::all(control_plane.client(control_plane.url(), &credentials));
    let attributes = json!({
        "namespace": world.namespace.name(), "group": group, "resource": resource, "subresource": subresource, "verb": verb,
    });
    let review = json!({ "metadata": {}, "spec": { "resourceAttributes": attributes } });
    let review: SelfSubjectAccessReview = serde_json::from_value(review).expect("the review above is one");
    wait::eventually(wait::PATIENCE, "the right is gone", async || {
        let answer = reviews.create(&PostParams::default(), &review).await.map_err(|error| error.to_string())?;
        if answer.status.is_some_and(|status| !status.allowed) { Ok(()) } else { Err("it is there still".to_owned()) }
    })
    .await;
}

/// The names of the Jobs that the operator has written, one for each write.
fn jobs_written(proxy: &FaultProxy) -> Vec<String> {
    let mut names: Vec<String> =
        proxy.requests(|request| request.is_write() && request.resource == "jobs").into_iter().map(|request| request.name).collect();
    names.sort_unstable();
    names
}

fn is_complete(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

fn writes_status(request: &Request) -> bool {
    request.is_write() && request.resource == "finetunejobs" && request.subresource == "status"
}

#[tokio::test]
async fn without_the_right_to_write_statuses_nothing_is_started_twice() {
    let proxy = FaultProxy::start();
    let mut world = World::behind("no-status", &proxy).await;
    may_not(&world, &[("finetunejobs/status", "patch")]).await;
    until_forbidden(&world, "temper.dev", "finetunejobs", "status", "patch").await;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    // One that knows nothing of what it has made finds it.
    let before = proxy.requests(writes_status).len();
    world.operator.start_again();
    world.operator.ready().await;
    wait::eventually(wait::PATIENCE, "it tries to write the status", async || {
        let now = proxy.requests(writes_status).len();
        if now > before { Ok(()) } else { Err(format!("{now} writes")) }
    })
    .await;
    let job = world.jobs().get("tiny").await.expect("there");
    assert!(condition(&job, "Ready").is_none(), "{:?}", job.status);
    assert_eq!(jobs_written(&proxy), ["tiny-a0", "tiny-prepare-0"]);

    may_not(&world, &[]).await;
    let is_told = |job: &temper_crds::FineTuneJob| condition(job, "Ready").is_some_and(|ready| ready.reason == "Training");
    wait::until_within(UNTIL_IT_TRIES_AGAIN, &world.jobs(), "tiny", "told to be training", is_told).await;
    world.finish("tiny", 0).await;
    world.comes_to_its_end("tiny").await;
    assert_eq!(jobs_written(&proxy), ["tiny-a0", "tiny-prepare-0", "tiny-publish-0"]);
}

#[tokio::test]
async fn without_the_right_to_list_pods_their_last_words_are_waited_for() {
    let proxy = FaultProxy::start();
    let mut world = World::behind("no-list", &proxy).await;
    world.create("tiny", json!({})).await;
    world.running("tiny", 0, 2).await;
    world.state("tiny", "Training").await;
    may_not(&world, &[("pods", "list"), ("pods", "watch")]).await;
    until_forbidden(&world, "", "pods", "", "list").await;
    // A watch that is open stays so without the right.
    let before = asked(&proxy, Verb::List, &["pods"]);
    expire(&proxy, &["pods"]);
    until_asked(&proxy, Verb::List, &["pods"], &before, 2).await;
    world.finish("tiny", 0).await;
    wait::until(&world.batch_jobs(), "tiny-a0", "complete", is_complete).await;

    may_not(&world, &[]).await;
    world.comes_to_its_end("tiny").await;
    let made = world.batch_jobs().list(&ListParams::default()).await.expect("listable").items;
    let mut names: Vec<String> = made.iter().map(ResourceExt::name_any).collect();
    names.sort_unstable();
    assert_eq!(names, ["tiny-a0", "tiny-prepare-0", "tiny-publish-0"]);
    assert!(world.operator.runs(), "{}", world.operator.log());
}
