//! Played pods under the real Job controller, node lifecycle controller and garbage collector.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use temper_cluster_tests::kubelet::{End, Play};
use temper_cluster_tests::metrics_page::MetricsPage;
use temper_cluster_tests::{Namespace, PlayedKubelet, http, wait};

/// What passes the restricted Pod Security Standard.
fn pod_spec() -> Value {
    json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "trainer", "image": "trainer:test",
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
    })
}

/// An Indexed Job of two pods that fails for good where a pod exits with 10 and is not blamed for disruptions.
fn job(name: &str) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": {
            "completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 3,
            "podFailurePolicy": { "rules": [
                { "action": "FailJob", "onExitCodes": { "operator": "In", "values": [10] } },
                { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] },
            ] },
            "template": { "spec": pod_spec() },
        },
    })
}

async fn bare_pod(namespace: &Namespace, name: &str, finalizers: &[&str]) -> Pod {
    namespace.create_object(json!({ "metadata": { "name": name, "finalizers": finalizers }, "spec": pod_spec() })).await
}

fn has_condition(job: &Job, kind: &str) -> Option<String> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")?;
    Some(condition.reason.clone().unwrap_or_default())
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()?.state.as_ref()?.terminated.as_ref()
}

fn disruption(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "DisruptionTarget")?.reason.as_deref()
}

async fn pods_of(namespace: &Namespace, index: &str) -> Vec<Pod> {
    let parameters = ListParams::default().labels(&format!("batch.kubernetes.io/job-completion-index={index}"));
    namespace.api::<Pod>().list(&parameters).await.unwrap().items
}

fn told(pods: &[Pod]) -> String {
    let lines = pods.iter().map(|pod| format!("{} {} {:?}", pod.name_any(), phase(pod), pod.metadata.deletion_timestamp));
    lines.collect::<Vec<_>>().join("\n")
}

/// The pod of an index that runs.
async fn running(namespace: &Namespace, index: &str) -> Pod {
    wait::eventually(wait::PATIENCE, "a pod of the index runs", async || {
        let pods = pods_of(namespace, index).await;
        let found = pods.iter().find(|pod| phase(pod) == "Running" && pod.metadata.deletion_timestamp.is_none());
        found.cloned().ok_or_else(|| told(&pods))
    })
    .await
}

#[tokio::test]
async fn an_indexed_job_runs_and_is_complete_when_its_pods_have_succeeded() {
    let namespace = Namespace::create("complete").await;
    let kubelet = PlayedKubelet::start(&namespace, 2, |_| Play::runs()).await;
    namespace.create_object::<Job>(job("train")).await;
    let jobs = namespace.api::<Job>();
    wait::until(&jobs, "train", "of two ready pods", |job| job.status.as_ref().is_some_and(|status| status.ready == Some(2))).await;
    let [first, second] = [running(&namespace, "0").await, running(&namespace, "1").await];
    assert_ne!(first.spec.as_ref().unwrap().node_name, second.spec.as_ref().unwrap().node_name);
    assert_ne!(first.status.as_ref().unwrap().pod_ip, second.status.as_ref().unwrap().pod_ip);
    for pod in [&first, &second] {
        let ended = kubelet.end(&pod.name_any(), End::exit(0, "all steps done")).await;
        assert_eq!((phase(&ended), terminated(&ended).unwrap().message.as_deref()), ("Succeeded", Some("all steps done")));
    }
    wait::until(&jobs, "train", "complete", |job| has_condition(job, "Complete").is_some()).await;
}

#[tokio::test]
async fn the_job_controller_reads_exit_codes_and_disruptions() {
    let namespace = Namespace::create("failures").await;
    let kubelet = PlayedKubelet::start(&namespace, 1, |_| Play::runs()).await;
    namespace.create_object::<Job>(job("train")).await;
    let jobs = namespace.api::<Job>();
    let failed = |job: &Job| job.status.as_ref().and_then(|status| status.failed).unwrap_or_default();

    // An eviction is forgiven; running out of memory is not.
    let evicted = kubelet.end(&running(&namespace, "0").await.name_any(), End::Evicted { message: "low on memory".into() }).await;
    assert_eq!((disruption(&evicted), evicted.status.as_ref().unwrap().reason.as_deref()), (Some("TerminationByKubelet"), Some("Evicted")));
    let victim = running(&namespace, "0").await;
    assert_ne!(victim.uid(), evicted.uid());
    kubelet.preempt(&victim.name_any()).await;
    let next = wait::eventually(wait::PATIENCE, "another pod takes its place", async || {
        let pod = running(&namespace, "0").await;
        if pod.uid() == victim.uid() { Err("it still runs".to_owned()) } else { Ok(pod) }
    })
    .await;
    assert_eq!(failed(&jobs.get("train").await.unwrap()), 0);
    let killed = kubelet.end(&next.name_any(), End::OutOfMemory).await;
    let state = terminated(&killed).unwrap();
    assert_eq!((state.exit_code, state.reason.as_deref()), (137, Some("OOMKilled")));
    wait::until(&jobs, "train", "blamed for one failure", |job| failed(job) == 1).await;

    let ended = kubelet.end(&running(&namespace, "1").await.name_any(), End::exit(10, "no such column")).await;
    assert_eq!((phase(&ended), terminated(&ended).unwrap().exit_code), ("Failed", 10));
    let job = wait::until(&jobs, "train", "failed", |job| has_condition(job, "Failed").is_some()).await;
    assert_eq!(has_condition(&job, "Failed").as_deref(), Some("PodFailurePolicy"));
    // The pod of index 0 is asked to stop with the job.
    wait::eventually(wait::PATIENCE, "no pod runs", async || {
        let pods = namespace.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
        if pods.iter().any(|pod| phase(pod) == "Running") { Err(told(&pods)) } else { Ok(()) }
    })
    .await;
}

/// Deletes a pod that a finalizer keeps, and returns it as its end left it.
async fn end_of_deleted(namespace: &Namespace, name: &str) -> Pod {
    const KEEPER: &str = "temper.dev/test";
    bare_pod(namespace, name, &[KEEPER]).await;
    let pods = namespace.api::<Pod>();
    wait::until(&pods, name, "running", |pod| phase(pod) == "Running").await;
    pods.delete(name, &DeleteParams::default()).await.unwrap();
    let ended = wait::until(&pods, name, "ended", |pod| terminated(pod).is_some()).await;
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    pods.patch(name, &PatchParams::default(), &release).await.unwrap();
    wait::gone(&pods, name).await;
    ended
}

#[tokio::test]
async fn a_deleted_pod_may_stop_by_itself_within_its_grace_period_and_is_killed_after_it() {
    let namespace = Namespace::create("grace").await;
    let _kubelet = PlayedKubelet::start(&namespace, 1, |pod| match pod.name_any().as_str() {
        "stubborn" => Play::runs().ignoring_stop(),
        _ => Play::runs().when_stopped(End::exit(143, "checkpoint at step 12")),
    })
    .await;
    let polite = end_of_deleted(&namespace, "polite").await;
    let state = terminated(&polite).unwrap();
    assert_eq!((state.exit_code, state.message.as_deref()), (143, Some("checkpoint at step 12")));

    let stubborn = end_of_deleted(&namespace, "stubborn").await;
    let state = terminated(&stubborn).unwrap();
    assert_eq!(state.exit_code, 137);
    let grace_ends = stubborn.metadata.deletion_timestamp.as_ref().unwrap().0;
    assert!(state.finished_at.as_ref().unwrap().0 >= grace_ends, "killed before its grace period was over");
}

#[tokio::test]
async fn pods_that_cannot_start_say_why() {
    let namespace = Namespace::create("stuck").await;
    let _kubelet = PlayedKubelet::start(&namespace, 1, |pod| match pod.name_any().as_str() {
        "nowhere" => Play::unschedulable("0/1 nodes are available: 1 Insufficient nvidia.com/gpu."),
        _ => Play::waits("ImagePullBackOff", "Back-off pulling image"),
    })
    .await;
    let pods = namespace.api::<Pod>();
    bare_pod(&namespace, "nowhere", &[]).await;
    let nowhere = wait::until(&pods, "nowhere", "unschedulable", |pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("Unschedulable"))
    })
    .await;
    assert_eq!((phase(&nowhere), &nowhere.spec.as_ref().unwrap().node_name), ("Pending", &None));

    bare_pod(&namespace, "no-image", &[]).await;
    wait::until(&pods, "no-image", "waiting for its image", |pod| {
        let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
        let waiting = containers.first().and_then(|container| container.state.as_ref()?.waiting.as_ref());
        waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("ImagePullBackOff"))
    })
    .await;
    for name in ["nowhere", "no-image"] {
        pods.delete(name, &DeleteParams::default()).await.unwrap();
        wait::gone(&pods, name).await;
    }
}

#[tokio::test]
async fn a_silent_node_keeps_its_pod_until_it_speaks_again() {
    let namespace = Namespace::create("lost").await;
    let kubelet = PlayedKubelet::start(&namespace, 2, |_| Play::runs()).await;
    let mut manifest = job("train");
    // With a pod failure policy the Job controller replaces nothing before it has really ended.
    manifest["spec"].as_object_mut().unwrap().remove("podFailurePolicy");
    let unreachable = json!({
        "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0,
    });
    manifest["spec"]["template"]["spec"]["tolerations"] = json!([unreachable]);
    namespace.create_object::<Job>(manifest).await;
    let stuck = running(&namespace, "0").await;
    running(&namespace, "1").await;
    let node = stuck.spec.as_ref().unwrap().node_name.clone().unwrap();
    kubelet.lose(&node).await;

    let pods = namespace.api::<Pod>();
    let name = stuck.name_any();
    let evicted = wait::until(&pods, &name, "evicted", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    assert_eq!((phase(&evicted), disruption(&evicted)), ("Running", Some("DeletionByTaintManager")));
    let next = running(&namespace, "0").await;
    assert_ne!(next.spec.as_ref().unwrap().node_name.as_ref(), Some(&node));
    // The old pod has not gone in the meantime, though its grace period was a second.
    assert_eq!(pods.get(&name).await.unwrap().uid(), stuck.uid());

    kubelet.recover(&node).await;
    wait::gone(&pods, &name).await;
}

#[tokio::test]
async fn a_running_pod_serves_its_metrics() {
    let namespace = Namespace::create("metrics").await;
    let page = MetricsPage::new("temper_training_step 7\n");
    let played = page.clone();
    let kubelet = PlayedKubelet::start(&namespace, 1, move |_| Play::runs().serving(9400, &played)).await;
    bare_pod(&namespace, "trainer", &[]).await;
    let pods = namespace.api::<Pod>();
    let pod = wait::until(&pods, "trainer", "running", |pod| phase(pod) == "Running").await;
    let address = format!("{}:9400", pod.status.unwrap().pod_ip.unwrap()).parse().unwrap();
    assert_eq!(http::get(address, "/metrics").await.unwrap().text, "temper_training_step 7\n");
    page.set("temper_training_step 8\n");
    assert_eq!(http::get(address, "/metrics").await.unwrap().text, "temper_training_step 8\n");
    assert_eq!(page.answered(), 2);
    kubelet.end("trainer", End::Signal(11)).await;
    wait::eventually(wait::PATIENCE, "the page is gone", async || match http::get(address, "/metrics").await {
        Ok(answer) => Err(format!("{answer:?}")),
        Err(_) => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn what_a_job_owns_goes_with_it() {
    let namespace = Namespace::create("orphans").await;
    let _kubelet = PlayedKubelet::start(&namespace, 1, |_| Play::runs()).await;
    namespace.create_object::<Job>(job("train")).await;
    let pod = running(&namespace, "0").await;
    let jobs: Api<Job> = namespace.api();
    jobs.delete("train", &DeleteParams::background()).await.unwrap();
    wait::gone(&namespace.api::<Pod>(), &pod.name_any()).await;
}
