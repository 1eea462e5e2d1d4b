//! Somebody deletes an attempt's Job while its pods train: they still write, and hold accelerators, until they have ended.

use crate::world::{World, attempt, stage};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use temper_cluster_tests::kubelet::{End, Play};
use temper_cluster_tests::last_words::prepared;
use temper_cluster_tests::metrics_page::MetricsPage;
use temper_cluster_tests::wait;

/// Reconciles that have ended, however.
async fn reconciles(world: &World) -> u64 {
    let page = world.operator.metrics().await;
    let counters = page.lines().filter(|line| line.starts_with("temper_operator_reconciles_total{"));
    counters.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// Waits until the operator has looked at the only job anew, from the beginning to the end.
async fn until_looked_at(world: &World, job: &str) {
    // The first look that ends may have begun before.
    for _ in 0..2 {
        let before = reconciles(world).await;
        let touched = Patch::Merge(json!({ "metadata": { "annotations": { "example.com/touched": format!("after {before}") } } }));
        world.jobs().patch(job, &PatchParams::default(), &touched).await.expect("changed");
        wait::eventually(wait::PATIENCE, "the operator looks at the job", async || {
            let now = reconciles(world).await;
            if now > before { Ok(()) } else { Err(format!("{now} reconciles")) }
        })
        .await;
    }
}

#[tokio::test]
async fn the_next_attempt_waits_until_the_pods_of_a_deleted_job_have_ended() {
    let script = |pod: &Pod| match (stage(pod), attempt(pod)) {
        ("prepare", _) => Play::succeeds(prepared()),
        // They take as long over their last checkpoint as the test likes.
        ("train", "0") => Play::runs().ignoring_stop(),
        _ => Play::runs(),
    };
    let world = World::with("deleted-attempt", MetricsPage::default(), script, 2).await;
    world.create("tiny", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    let pods = world.running("tiny", 0, 2).await;
    world.state("tiny", "Training").await;
    // As `kubectl delete job` does: the Job is gone at once, and its pods are told to end.
    world.batch_jobs().delete("tiny-a0", &DeleteParams::background()).await.expect("deleted");
    wait::gone(&world.batch_jobs(), "tiny-a0").await;
    for pod in &pods {
        wait::until(&world.pods(), pod, "being deleted", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    }
    until_looked_at(&world, "tiny").await;
    assert_eq!(world.batch_jobs().get_opt("tiny-a1").await.expect("readable"), None, "both pods still write");
    world.kubelet.end_stopped(&pods[0], End::exit(143, "")).await;
    until_looked_at(&world, "tiny").await;
    assert_eq!(world.batch_jobs().get_opt("tiny-a1").await.expect("readable"), None, "a pod still writes");
    world.kubelet.end_stopped(&pods[1], End::exit(143, "")).await;
    world.running("tiny", 1, 2).await;
    let job = world.state("tiny", "Training").await;
    let status = job.status.expect("it has one");
    assert_eq!((status.restarts, status.attempt), (0, Some(1)), "somebody's deletion is not the job's failure");
}
