//! One job's life with everything that a cluster does to it, from its manifest to the bytes of its model.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use rustix::process::Signal;
use temper_cluster_tests::nodes::NodeProcess;
use temper_cluster_tests::{Nodes, wait};
use temper_contract::env;
use temper_crds::finetunejob::attempts::{AttemptEnd, StageName, StopCause};
use temper_crds::{Decimal, FineTuneJob, FineTuneJobStatus};

use crate::command_line;
use crate::job::{NAME, PATIENCE, Place, SAVE_STEPS, STEPS, manifest};
use crate::release;

/// More than half of what a node has, so that each node of the job is on a machine of its own.
const MOST_OF_A_NODE: &str = "1100m";

#[tokio::test]
async fn a_job_whose_rank_is_killed_whose_pod_is_deleted_and_which_is_held_makes_the_model_of_a_local_run() {
    let nodes = Nodes::around().await;
    release::install(&nodes).await;
    release::test(&nodes);
    let place = Place::create(&nodes, "life", MOST_OF_A_NODE).await;

    let pods = place.running(0).await;
    assert_ne!(node_of(&pods[0]), node_of(&pods[1]));
    place.checkpoint(0, SAVE_STEPS).await;
    command_line::logs_of_both_nodes(&nodes, &place);
    command_line::what_is_told_of_a_training(&nodes, &place, &manifest(MOST_OF_A_NODE));
    a_killed_rank_is_replaced_in_place(&nodes, &place, &pods).await;

    // The operator is gone when the pod goes, and finds out about it afterwards.
    crash(&nodes);
    place.namespace.api::<Pod>().delete(&pods[0].name_any(), &DeleteParams::default()).await.unwrap();
    place.running(1).await;
    let saved = place.resumed_from(1).await;
    assert!(saved >= 2 * SAVE_STEPS, "attempt 1 goes on from step {saved}, which is not what attempt 0 left");

    place.checkpoint(1, saved + 1).await;
    let saved = it_is_held_without_pods(&nodes, &place).await;
    command_line::resume(&nodes, &place);
    assert_eq!(place.resumed_from(2).await, saved, "a job that was held goes on where it was");
    command_line::follow_to_the_end(&nodes, &place);

    let job = place.state("Complete").await;
    let status = status(&job);
    assert!(was_measured(&status), "{:?}", status.trainer_status);
    assert_eq!(status.restarts, 1, "only the killed rank is a failure");
    let attempts: Vec<_> = status.attempts.iter().filter(|attempt| attempt.stage == StageName::Train).collect();
    let told: Vec<_> = attempts.iter().map(|attempt| (attempt.in_place_restarts, attempt.stop)).collect();
    assert_eq!(told, [(1, None), (0, Some(StopCause::Suspended)), (0, None)]);
    assert_eq!(attempts.last().and_then(|attempt| attempt.end), Some(AttemptEnd::Succeeded));
    assert_eq!(status.result.as_ref().map(|result| result.step), Some(STEPS));
    place.model().await.is_that_of_a_local_run();
}

/// What the trainers measured is in the job's status.
fn was_measured(status: &FineTuneJobStatus) -> bool {
    let positive = |number: &Option<Decimal>| number.as_ref().and_then(Decimal::value).is_some_and(|value| value > 0.0);
    status.trainer_status.as_ref().is_some_and(|trainer| {
        let metrics = &trainer.metrics;
        let measured = [&metrics.training_loss, &metrics.learning_rate, &metrics.gradient_norm, &metrics.tokens_per_second];
        trainer.step > 0 && trainer.total_steps == STEPS && measured.into_iter().all(positive)
    })
}

/// Kills a rank in the second pod: all ranks meet again in the pods that they are in.
async fn a_killed_rank_is_replaced_in_place(nodes: &Nodes, place: &Place, pods: &[Pod]) {
    let rank = rank(nodes, "3").expect("rank 3 runs");
    assert_eq!(rank.variable(env::GENERATION).as_deref(), Some("0"));
    rank.signal(Signal::KILL);
    wait::until_within(PATIENCE, &place.jobs(), NAME, "restarted once", |job| status(job).restarts == 1).await;
    place.checkpoint(0, 2 * SAVE_STEPS).await;
    assert_eq!(self::rank(nodes, "3").and_then(|rank| rank.variable(env::GENERATION)).as_deref(), Some("1"));
    let same = place.running(0).await;
    let identity = |pods: &[Pod]| pods.iter().map(|pod| (pod.uid(), container_restarts(pod))).collect::<Vec<_>>();
    assert_eq!(identity(&same), identity(pods));
    assert!(same.iter().all(|pod| container_restarts(pod) == 0));
}

/// A rank in a pod.
fn rank(nodes: &Nodes, number: &str) -> Option<NodeProcess> {
    let ranks = nodes.processes(|words| words[0] == "/usr/local/bin/temper-trainer" && words.get(1).is_some_and(|word| word == "rank"));
    ranks.into_iter().find(|rank| rank.variable(env::RANK).as_deref() == Some(number))
}

/// Kills every replica of the operator.
fn crash(nodes: &Nodes) {
    let operators = nodes.processes(|words| words[0].ends_with("temper-operator"));
    assert_eq!(operators.len(), 2, "{operators:?}");
    operators.iter().for_each(|operator| operator.signal(Signal::KILL));
}

/// Holds the job and waits until it has no pods. The step that it will go on from.
async fn it_is_held_without_pods(nodes: &Nodes, place: &Place) -> u64 {
    command_line::suspend(nodes, place);
    let job = place.state("Suspended").await;
    let pods = place.trainers(None).await;
    assert!(pods.iter().all(has_ended), "a job that is held holds nothing: {pods:?}");
    let saved = status(&job).checkpoint.expect("it was saved when it was stopped").step;
    let newest = place.checkpoint(1, saved).await;
    assert!(newest < STEPS, "it was done before it was held; give it more steps");
    newest
}

fn status(job: &FineTuneJob) -> FineTuneJobStatus {
    job.status.clone().unwrap_or_default()
}

fn has_ended(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).is_some_and(|phase| phase == "Succeeded" || phase == "Failed")
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

fn container_restarts(pod: &Pod) -> i32 {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.map(|container| container.restart_count).sum()
}
