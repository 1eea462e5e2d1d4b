//! Failures by their causes: what is tried again, what counts, what ends the job.

use crate::world::{World, attempt, condition, holds, index, stage, usual};
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;
use temper_cluster_tests::kubelet::{End, Play};
use temper_cluster_tests::last_words::{prepared, published};
use temper_cluster_tests::metrics_page::MetricsPage;
use temper_cluster_tests::wait;
use temper_contract::{ExitCode, TerminationMessage};
use temper_crds::finetunejob::attempts::{AttemptEnd, StageName, StopCause};

fn word(reason: ExitCode, message: &str) -> String {
    TerminationMessage { rank: Some(3), ..TerminationMessage::new(reason, message, "look into it") }.to_json()
}

#[tokio::test]
async fn a_crash_starts_the_next_attempt_and_is_told_with_its_pod_rank_and_words() {
    let world = World::new("crash").await;
    world.create("tiny", json!({})).await;
    let pods = world.running("tiny", 0, 2).await;
    world.kubelet.end(&pods[1], End::exit(1, word(ExitCode::Unexpected, "rank 3 fell over"))).await;
    world.running("tiny", 1, 2).await;
    let job = world.state("tiny", "Training").await;
    let status = job.status.as_ref().expect("it has one");
    assert_eq!((status.attempt, status.restarts), (Some(1), 1));
    let failure = status.last_failure.as_ref().expect("told");
    assert_eq!((failure.pod.as_deref(), failure.rank, failure.exit_code), (Some(pods[1].as_str()), Some(3), Some(1)));
    assert!(failure.message.as_deref().is_some_and(|message| message.contains("rank 3 fell over")), "{failure:?}");
    wait::gone(&world.batch_jobs(), "tiny-a0").await;
    world.finish("tiny", 1).await;
    world.state("tiny", "Complete").await;
}

#[tokio::test]
async fn each_cause_has_its_consequence() {
    let world = World::new("causes").await;
    // Name, how one pod ends, restarts that it counts as, and how the ledger has it.
    let table = [
        ("oom", End::OutOfMemory, 1, AttemptEnd::OutOfMemory),
        ("killed", End::Signal(9), 1, AttemptEnd::Exited),
        ("evicted", End::Evicted { message: "The node was low on resource: memory.".to_owned() }, 0, AttemptEnd::Interrupted),
        ("drained", End::exit(143, word(ExitCode::Terminated, "a checkpoint is written")), 0, AttemptEnd::Exited),
        ("storage", End::exit(12, word(ExitCode::Storage, "the disk is full")), 1, AttemptEnd::Exited),
    ];
    for (name, ..) in &table {
        world.create(name, json!({})).await;
    }
    for (name, end, restarts, how) in table {
        let pods = world.running(name, 0, 2).await;
        world.kubelet.end(&pods[0], end).await;
        world.running(name, 1, 2).await;
        let job = world.state(name, "Training").await;
        let status = job.status.as_ref().expect("it has one");
        assert_eq!(status.restarts, restarts, "{name}");
        let entry =
            status.attempts.iter().find(|entry| entry.finished_at.is_some() && entry.end != Some(AttemptEnd::Succeeded)).expect("listed");
        assert_eq!(entry.end, Some(how), "{name}");
    }
}

#[tokio::test]
async fn preemption_and_deletion_of_a_pod_do_not_count() {
    let world = World::new("preemption").await;
    world.create("preempted", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    world.create("deleted", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    let pods = world.running("preempted", 0, 2).await;
    world.kubelet.preempt(&pods[1]).await;
    let pods = world.running("deleted", 0, 2).await;
    world.pods().delete(&pods[0], &DeleteParams::default()).await.expect("deleted");
    for name in ["preempted", "deleted"] {
        world.running(name, 1, 2).await;
        let job = world.state(name, "Training").await;
        assert_eq!(job.status.map(|status| status.restarts), Some(0), "{name}");
    }
}

#[tokio::test]
async fn wrong_input_fails_at_once_with_its_reason() {
    let page = MetricsPage::default();
    let message = word(ExitCode::InvalidInput, "rows.jsonl:3: is no JSON");
    let script = move |pod: &k8s_openapi::api::core::v1::Pod| match stage(pod) {
        "prepare" => Play::ends(End::exit(10, message.clone())),
        _ => Play::runs(),
    };
    let world = World::with("wrong", page, script, 1).await;
    world.create("tiny", json!({})).await;
    let job = wait::until(&world.jobs(), "tiny", "failed", |job| holds(job, "Failed")).await;
    let failed = condition(&job, "Failed").expect("there");
    assert_eq!(failed.reason, "InvalidInput");
    assert!(failed.message.contains("rows.jsonl:3: is no JSON; look into it"), "{}", failed.message);
    assert!(holds(&job, "Stalled") && !holds(&job, "Reconciling"));
    assert_eq!(world.batch_jobs().get_opt("tiny-a0").await.expect("readable"), None, "no accelerator was ever held");
    // What alerts are about.
    wait::eventually(wait::PATIENCE, "the failure is counted by its reason", async || {
        let page = world.operator.metrics().await;
        let counted = page.contains("temper_finetunejobs{phase=\"Failed\",reason=\"InvalidInput\"} 1");
        if counted { Ok(()) } else { Err(page) }
    })
    .await;
}

#[tokio::test]
async fn restarts_are_used_up_and_the_last_failure_is_named() {
    let page = MetricsPage::default();
    let message = word(ExitCode::Unexpected, "it always falls over");
    let script = move |pod: &k8s_openapi::api::core::v1::Pod| match (stage(pod), index(pod)) {
        ("prepare", _) => Play::succeeds(prepared()),
        ("train", 0) => Play::ends(End::exit(1, message.clone())),
        _ => Play::runs(),
    };
    let world = World::with("exhausted", page, script, 1).await;
    world.create("tiny", json!({ "failurePolicy": { "maxRestarts": 1 } })).await;
    let job = wait::until(&world.jobs(), "tiny", "failed", |job| holds(job, "Failed")).await;
    let failed = condition(&job, "Failed").expect("there");
    assert_eq!(failed.reason, "RestartsExhausted");
    assert!(failed.message.contains("maxRestarts (1)") && failed.message.contains("it always falls over"), "{}", failed.message);
    assert_eq!(job.status.map(|status| (status.restarts, status.attempt)), Some((1, Some(1))));
}

#[tokio::test]
async fn what_is_missing_is_told_and_heals_when_it_is_there() {
    let page = MetricsPage::default();
    let message = word(ExitCode::Unavailable, "Secret hf-token is not there");
    let script = move |pod: &k8s_openapi::api::core::v1::Pod| match (stage(pod), attempt(pod)) {
        ("prepare", "0") => Play::ends(End::exit(16, message.clone())),
        ("prepare", _) => Play::succeeds(prepared()),
        ("publish", _) => Play::succeeds(published()),
        _ => Play::runs(),
    };
    let world = World::with("missing", page, script, 1).await;
    world.create("tiny", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    let job = world.state("tiny", "Unavailable").await;
    let stalled = condition(&job, "Stalled").expect("there");
    assert!(holds(&job, "Stalled") && stalled.message.contains("Secret hf-token is not there"), "{}", stalled.message);
    let job = world.state("tiny", "Training").await;
    assert!(!holds(&job, "Stalled"));
    assert_eq!(job.status.map(|status| status.restarts), Some(0));
}

#[tokio::test]
async fn a_lost_machine_ends_the_attempt_and_never_blocks_the_next_one() {
    let page = MetricsPage::default();
    let script = usual(&page);
    let world = World::with("lost", page, script, 3).await;
    world.create("tiny", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    let pods = world.running("tiny", 0, 2).await;
    let lost = world.pods().get(&pods[1]).await.expect("it runs");
    let node = lost.spec.as_ref().and_then(|spec| spec.node_name.clone()).expect("bound");
    world.kubelet.lose(&node).await;
    let next = wait::eventually(std::time::Duration::from_secs(150), "the next attempt's Job is made", async || {
        world.batch_jobs().get_opt("tiny-a1").await.map_err(|error| error.to_string())?.ok_or_else(|| "not yet".to_owned())
    })
    .await;
    assert_eq!(next.name_any(), "tiny-a1");
    let job = world.jobs().get("tiny").await.expect("there");
    assert_eq!(job.status.map(|status| status.restarts), Some(0), "a lost machine is not the job's doing");
    // The pod on the silent machine still stands there, and disturbs nobody.
    let stuck = world.pods().get_opt(&pods[1]).await.expect("readable");
    assert!(stuck.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some()));
}

#[tokio::test]
async fn an_attempt_without_progress_is_stopped_and_counts() {
    let world = World::new("stall").await;
    // The supervisor would act at ten seconds; the operator gives it a minute more.
    world.create("tiny", json!({ "failurePolicy": { "stallTimeoutSeconds": 10, "maxRestarts": 3 } })).await;
    world.running("tiny", 0, 2).await;
    world.page.set(crate::world::metrics(5, 0));
    let job = wait::eventually(std::time::Duration::from_secs(150), "the second attempt is under way", async || {
        let job = world.jobs().get("tiny").await.map_err(|error| error.to_string())?;
        match job.status.as_ref().and_then(|status| status.attempt) {
            Some(1) => Ok(job),
            attempt => Err(format!("{attempt:?}")),
        }
    })
    .await;
    let status = job.status.expect("it has one");
    assert_eq!(status.restarts, 1);
    assert_eq!(status.last_failure.map(|failure| failure.reason).as_deref(), Some("NoProgress"));
}

#[tokio::test]
async fn pods_that_find_no_machine_in_time_free_the_others_and_use_no_restart_up() {
    let page = MetricsPage::default();
    let script = |pod: &k8s_openapi::api::core::v1::Pod| match (stage(pod), attempt(pod), index(pod)) {
        ("prepare", ..) => Play::succeeds(prepared()),
        ("train", "0", 1) => Play::unschedulable("0/2 nodes are available: 2 Insufficient nvidia.com/gpu."),
        _ => Play::runs(),
    };
    let world = World::with("roomless", page, script, 2).await;
    world.create("tiny", json!({ "failurePolicy": { "maxRestarts": 0 } })).await;
    let first = world.running("tiny", 0, 1).await;
    let job = world.state("tiny", "Unschedulable").await;
    assert!(!holds(&job, "Stalled"), "an autoscaler may be at it");
    world.kubelet.end(&first[0], End::exit(14, word(ExitCode::Rendezvous, "1 of 2 nodes came"))).await;
    world.running("tiny", 1, 2).await;
    let job = world.state("tiny", "Training").await;
    let status = job.status.as_ref().expect("it has one");
    assert_eq!((status.restarts, status.attempt), (0, Some(1)));
    let ended = status.attempts.iter().find(|entry| entry.stage == StageName::Train && entry.number == 0).expect("listed");
    assert_eq!(ended.stop, Some(StopCause::PodsMissing));
}

#[tokio::test]
async fn a_job_that_cannot_fit_is_refused_before_it_holds_anything() {
    let world = World::new("memory").await;
    let trainer = json!({ "numProcPerNode": 2, "resourcesPerNode": { "limits": { "cpu": "2", "memory": "1Gi" } } });
    world.create("tiny", json!({ "trainer": trainer })).await;
    let job = wait::until(&world.jobs(), "tiny", "failed", |job| holds(job, "Failed")).await;
    let failed = condition(&job, "Failed").expect("there");
    assert_eq!(failed.reason, "InsufficientMemory");
    assert!(failed.message.contains("2.0 GiB") && failed.message.contains("allows a pod 1.0 GiB"), "{}", failed.message);
    assert_eq!(world.batch_jobs().get_opt("tiny-a0").await.expect("readable"), None);
}
