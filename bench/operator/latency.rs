//! From a FineTuneJob's creation to that of its first pod, by the times in the API server's audit log.

use crate::controller::{Program, Side};
use crate::quantiles::Quantiles;
use crate::world::World;
use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use serde::Serialize;
use std::time::Duration;
use temper_cluster_tests::ControlPlane;
use temper_cluster_tests::control_plane::AuditedRequest;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
/// The audit log has a line a moment after the answer.
const SETTLE: Duration = Duration::from_secs(1);

/// How long it takes, and which part is whose.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latency {
    /// Jobs that were timed.
    pub(crate) jobs: usize,
    /// From the request for the job until the pod was there.
    pub(crate) total: Quantiles,
    /// The API server makes the job.
    pub(crate) job_creation: Quantiles,
    /// From then until the controller has asked for the batch Job: it sees the job, plans, and makes what the Job needs.
    pub(crate) controller: Quantiles,
    /// Of that, while the API server answered.
    pub(crate) answers: Quantiles,
    /// The API server makes the batch Job.
    pub(crate) batch_job_creation: Quantiles,
    /// From then until the Job controller's pod is there.
    pub(crate) job_controller: Quantiles,
}

/// Creates jobs, each once the one before has its pod. No node takes the pods, so nothing else goes on.
pub(crate) async fn measure(programs: &Program, side: Side, jobs: usize) -> Result<Latency> {
    let world = World::without_nodes("latency", side).await;
    let controller = programs.start(side, &world.namespace, &world.credentials).await?;
    let pods: Api<Pod> = world.namespace.api();
    let mut pods = std::pin::pin!(watcher(pods, watcher::Config::default()).default_backoff().applied_objects());
    let mut seen = std::collections::HashSet::new();
    for number in 0..jobs {
        world.create(&format!("job-{number:04}")).await;
        while seen.len() <= number {
            let pod = timeout(PATIENCE, pods.next()).await.with_context(|| format!("job {number} gets no pod:\n{}", controller.log()))?;
            if let Some(Ok(pod)) = pod {
                seen.insert(pod.metadata.name);
            }
        }
    }
    tokio::time::sleep(SETTLE).await;
    controller.stop().await?;
    let namespace = world.namespace.name().to_owned();
    let all = ControlPlane::shared().audit().requests(|request| request.object_ref.namespace == namespace);
    parts(&all, &world.user())
}

/// When a request came in and when it was answered.
#[derive(Clone, Copy)]
struct Span {
    received: Timestamp,
    answered: Timestamp,
}

impl Span {
    fn of(request: &AuditedRequest) -> Option<Self> {
        Some(Self { received: request.request_received_timestamp?, answered: request.stage_timestamp? })
    }

    fn milliseconds(self) -> f64 {
        milliseconds(self.received, self.answered)
    }
}

fn milliseconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1e3
}

/// The requests of a sort, in the order of their times.
fn spans(all: &[AuditedRequest], wanted: impl Fn(&AuditedRequest) -> bool) -> Vec<Span> {
    let mut spans: Vec<Span> = all.iter().filter(|request| wanted(request)).filter_map(Span::of).collect();
    spans.sort_by_key(|span| span.received);
    spans
}

/// Jobs came one after the other, so the n-th of each sort of request belongs to the n-th job.
fn parts(all: &[AuditedRequest], user: &str) -> Result<Latency> {
    let is = |request: &AuditedRequest, verb: &str, resource: &str| {
        request.verb == verb && request.object_ref.resource == resource && request.response_status.code < 300
    };
    let created = spans(all, |request| is(request, "create", "finetunejobs"));
    let asked = spans(all, |request| is(request, "patch", "jobs") && request.user.username == user);
    let pods = spans(all, |request| is(request, "create", "pods"));
    let writes = spans(all, |request| request.user.username == user && request.is_write());
    let jobs = created.len();
    ensure!(jobs > 0 && asked.len() == jobs && pods.len() == jobs, "{jobs} jobs, {} Jobs, {} pods", asked.len(), pods.len());
    let mut times = [(); 6].map(|()| Vec::with_capacity(jobs));
    for ((job, batch_job), pod) in created.iter().zip(&asked).zip(&pods) {
        let before = writes.iter().filter(|write| write.received >= job.answered && write.answered <= batch_job.received);
        let values = [
            milliseconds(job.received, pod.answered),
            job.milliseconds(),
            milliseconds(job.answered, batch_job.received),
            before.map(|write| write.milliseconds()).sum(),
            batch_job.milliseconds(),
            milliseconds(batch_job.answered, pod.answered),
        ];
        for (list, value) in times.iter_mut().zip(values) {
            list.push(value);
        }
    }
    let [total, job_creation, controller, answers, batch_job_creation, job_controller] = times.map(Quantiles::of);
    Ok(Latency { jobs, total, job_creation, controller, answers, batch_job_creation, job_controller })
}

#[cfg(test)]
mod tests {
    use super::parts;
    use jiff::{SignedDuration, Timestamp};
    use temper_cluster_tests::control_plane::{AuditedObject, AuditedRequest, AuditedUser};

    fn request(verb: &str, resource: &str, user: &str, received: i64, answered: i64) -> AuditedRequest {
        let at = |milliseconds| Some(Timestamp::UNIX_EPOCH + SignedDuration::from_millis(milliseconds));
        AuditedRequest {
            verb: verb.to_owned(),
            user: AuditedUser { username: user.to_owned() },
            object_ref: AuditedObject { resource: resource.to_owned(), ..AuditedObject::default() },
            request_received_timestamp: at(received),
            stage_timestamp: at(answered),
            ..AuditedRequest::default()
        }
    }

    #[test]
    fn each_part_has_its_time() {
        let all = [
            request("create", "finetunejobs", "admin", 0, 3),
            request("patch", "configmaps", "c", 5, 7),
            request("patch", "jobs", "c", 8, 12),
            request("create", "pods", "job-controller", 15, 20),
        ];
        let latency = parts(&all, "c").expect("one job");
        let medians =
            [latency.total, latency.job_creation, latency.controller, latency.answers, latency.batch_job_creation, latency.job_controller];
        assert_eq!(medians.map(|quantiles| quantiles.p50), [20.0, 3.0, 5.0, 2.0, 4.0, 8.0]);
        assert!(parts(&all[..3], "c").is_err(), "a job without a pod was not timed");
    }
}
