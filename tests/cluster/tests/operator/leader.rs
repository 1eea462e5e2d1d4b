//! Leader election of real operators before a real API server: who acts, who takes over, and that nobody writes after its time.

use ::http::Version;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use std::collections::HashSet;
use temper_cluster_tests::control_plane::Credentials;
use temper_cluster_tests::operator::OperatorOptions;
use temper_cluster_tests::proxy::{Fault, Request, Verb, Which};
use temper_cluster_tests::{ControlPlane, FaultProxy, Namespace, Operator, http, wait};
use temper_crds::FineTuneJob;

use crate::world::{job, rules, until_requested};

const LEASE: &str = "temper-operator";
/// Short enough to wait for.
const SHORT: [&str; 6] = ["--lease-duration", "4s", "--lease-renew-deadline", "2s", "--lease-retry-period", "500ms"];
/// Far longer than a test waits: whoever takes over within it did not wait for the lease to run out.
pub(crate) const LONG: [&str; 6] = ["--lease-duration", "600s", "--lease-renew-deadline", "300s", "--lease-retry-period", "2s"];

/// A replica with an account of its own, so that the audit log tells the replicas apart.
async fn replica(namespace: &Namespace, name: &str, flags: &[&str]) -> Operator {
    let credentials = namespace.service_account(name, &rules()).await;
    start(namespace, name, &credentials, flags).await
}

async fn start(namespace: &Namespace, name: &str, credentials: &Credentials, flags: &[&str]) -> Operator {
    let mut operator = OperatorOptions::new(namespace, credentials).identity(name).flags(flags.iter().copied()).start();
    operator.ready().await;
    operator
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref())
}

pub(crate) async fn until_led_by(namespace: &Namespace, name: &str) -> Lease {
    wait::until(&namespace.api::<Lease>(), LEASE, &format!("held by {name}"), |lease| holder(lease) == Some(name)).await
}

pub(crate) async fn until_it_says(operator: &Operator, gauge: &str) {
    wait::eventually(wait::PATIENCE, gauge, async || {
        let page = operator.metrics().await;
        if page.lines().any(|line| line == gauge) { Ok(()) } else { Err(page) }
    })
    .await;
}

/// What a replica's account has written, the Lease apart.
fn written_by(namespace: &Namespace, name: &str) -> usize {
    let account = format!("system:serviceaccount:{}:{name}", namespace.name());
    ControlPlane::shared()
        .audit()
        .requests(|request| request.is_write() && request.user.username == account && request.object_ref.resource != "leases")
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_and_the_standby_follows_when_it_is_killed() {
    let namespace = Namespace::create("leader-killed").await;
    let mut first = replica(&namespace, "first", &SHORT).await;
    until_led_by(&namespace, "first").await;
    let second = replica(&namespace, "second", &SHORT).await;
    until_it_says(&first, "temper_operator_leader 1").await;
    until_it_says(&second, "temper_operator_leader 0").await;
    first.kill();
    let lease = until_led_by(&namespace, "second").await;
    assert_eq!(lease.spec.and_then(|spec| spec.lease_transitions), Some(1));
    until_it_says(&second, "temper_operator_leader 1").await;
    first.start_again();
    first.ready().await;
    until_it_says(&first, "temper_operator_leader 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_stop_hands_over_without_waiting_for_its_lease() {
    let namespace = Namespace::create("leader-stopped").await;
    let mut first = replica(&namespace, "first", &LONG).await;
    until_led_by(&namespace, "first").await;
    let mut second = replica(&namespace, "second", &LONG).await;
    assert_eq!(first.stop().await, 0);
    until_led_by(&namespace, "second").await;
    // The last one releases it too: whoever comes next need not wait.
    assert_eq!(second.stop().await, 0);
    wait::until(&namespace.api::<Lease>(), LEASE, "held by nobody", |lease| holder(lease).is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_stop_while_it_lists_jobs_does_so_at_once() {
    let namespace = Namespace::create("leader-listing").await;
    let proxy = FaultProxy::start();
    let lists = |request: &Request| request.verb == Verb::List && request.resource == "finetunejobs";
    proxy.set(Which::Every, lists, Fault::Swallow);
    let account = namespace.service_account("temper-operator", &rules()).await;
    let options = OperatorOptions::new(&namespace, &account).flags(["--leader-election", "false"]).through(&proxy);
    let mut operator = options.start();
    until_requested(&proxy, 1, lists).await;
    assert_eq!(operator.stop().await, 0);
    assert!(!operator.log().contains("cut off"), "{}", operator.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_restarts_in_its_pod_leads_again_without_waiting() {
    let namespace = Namespace::create("leader-restarted").await;
    let mut only = replica(&namespace, "only", &LONG).await;
    let before = until_led_by(&namespace, "only").await;
    only.kill();
    only.start_again();
    only.ready().await;
    until_it_says(&only, "temper_operator_leader 1").await;
    let after = until_led_by(&namespace, "only").await;
    assert!(before.spec.and_then(|spec| spec.acquire_time) < after.spec.and_then(|spec| spec.acquire_time));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_slept_past_its_lease_writes_nothing_when_it_wakes() {
    let namespace = Namespace::create("leader-slept").await;
    let mut first = replica(&namespace, "first", &SHORT).await;
    until_led_by(&namespace, "first").await;
    let _second = replica(&namespace, "second", &SHORT).await;
    let before = written_by(&namespace, "first");
    first.freeze();
    until_led_by(&namespace, "second").await;
    // Work that it would do if it still led.
    for number in 0..5 {
        namespace.create_object::<FineTuneJob>(job(&format!("job-{number}"), json!({}))).await;
    }
    first.thaw();
    let code = first.ended().await;
    assert_eq!(code, 3, "{}", first.log());
    assert!(first.log().contains("another replica leads now"), "{}", first.log());
    assert_eq!(written_by(&namespace, "first"), before, "{}", first.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_pauses_and_goes_on_when_it_can() {
    let namespace = Namespace::create("leader-cut-off").await;
    let credentials = namespace.service_account("only", &rules()).await;
    let proxy = FaultProxy::start();
    let mut only = OperatorOptions::new(&namespace, &credentials).identity("only").flags(SHORT).through(&proxy).start();
    only.ready().await;
    until_it_says(&only, "temper_operator_leader 1").await;
    proxy.set(Which::Every, |request| request.resource == "leases" && request.verb == Verb::Update, Fault::Refuse(500));
    until_it_says(&only, "temper_operator_leader 0").await;
    wait::eventually(wait::PATIENCE, "it says why it is not ready", async || {
        let answer = http::get(only.address(), "/readyz").await?;
        let says_why = answer.status == 503 && answer.text.contains("lease: the lease could not be renewed");
        if says_why { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text)) }
    })
    .await;
    assert_eq!(http::get(only.address(), "/livez").await.expect("it serves").status, 200, "a restart would not help");
    proxy.heal();
    until_it_says(&only, "temper_operator_leader 1").await;
    only.ready().await;
    assert!(only.runs(), "{}", only.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_crds_are_named_and_waited_for() {
    let namespace = Namespace::create("leader-without-crds").await;
    let credentials = namespace.service_account("only", &rules()).await;
    let proxy = FaultProxy::start();
    proxy.set(Which::Every, |request| request.uri.starts_with("/apis/temper.dev/"), Fault::Refuse(404));
    let mut only = OperatorOptions::new(&namespace, &credentials).identity("only").flags(SHORT).through(&proxy).start();
    let told = wait::eventually(wait::PATIENCE, "it names the CRDs", async || {
        let answer = http::get(only.address(), "/readyz").await?;
        if answer.text.contains("finetunejobs.temper.dev") { Ok(answer) } else { Err(answer.text) }
    })
    .await;
    assert_eq!(told.status, 503);
    assert!(told.text.contains("kubectl apply --server-side -f crds/generated"), "{}", told.text);
    until_it_says(&only, "temper_operator_missing_crds{crd=\"finetunejobs.temper.dev\"} 1").await;
    assert!(only.runs());
    proxy.heal();
    only.ready().await;
    until_led_by(&namespace, "only").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_asked_for_over_connections_that_nothing_else_shares() {
    let namespace = Namespace::create("leader-connections").await;
    let credentials = namespace.service_account("only", &rules()).await;
    let proxy = FaultProxy::start();
    let mut operator = OperatorOptions::new(&namespace, &credentials).identity("only").flags(SHORT).through(&proxy).start();
    operator.ready().await;
    namespace.create_object::<FineTuneJob>(job("tiny", json!({ "suspend": true }))).await;
    wait::until(&namespace.api::<FineTuneJob>(), "tiny", "looked at", |job| job.status.is_some()).await;
    let spoken = |resource: &'static str| {
        let requests = proxy.requests(|request| request.resource == resource);
        requests.into_iter().map(|request| request.version).collect::<HashSet<Version>>()
    };
    // A request without an answer takes its HTTP/1.1 connection with it; the next renewal does not wait until pings find it dead.
    assert_eq!(spoken("leases"), [Version::HTTP_11].into());
    assert_eq!(spoken("finetunejobs"), [Version::HTTP_2].into());
}
