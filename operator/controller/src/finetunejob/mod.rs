//! The controller of FineTuneJobs.
//!
//! ```text
//! watches ──> families, versions ─┐                       ┌─> execute: apply, delete
//! trainers' /metrics ──> scraper ─┼─> observe ─> plan ────┤
//! FineTuneJob (spec, status) ─────┘   (pure)   (planner)  └─> report: status, then events
//! ```
//!
//! `reconcile` reads as that list. Whatever decides takes values and the time and returns values: `attempt`, `obstacle`, `observe`,
//! `story`, `status_patch`, `metrics_text`. The edges are `watch`, `scrape`, `execute` and `report`.

pub mod attempt;
pub mod census;
pub mod context;
pub mod error;
pub mod execute;
pub mod failures;
pub mod family;
pub mod finished;
pub mod machines;
pub mod metrics_text;
pub mod observe;
pub mod obstacle;
pub mod queue;
pub mod reconcile;
pub mod report;
pub mod scrape;
pub mod settled;
pub mod status_patch;
pub mod story;
pub mod superseded;
pub mod versions;
pub mod watch;

use crate::args::OperatorArgs;
use crate::client::watch_config;
use crate::health::Condition;
use crate::run::Leadership;
use crate::watched::KnownJob;
use context::Context;
use error::Error;
use failures::Failures;
use family::{Families, JobKey};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, WatchStreamExt, controller};
use machines::Machines;
use queue::Queue;
use scrape::Scraper;
use settled::Settled;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use superseded::Superseded;
use temper_objects::Settings;
use tokio::sync::mpsc;
use tracing::Instrument;
use tracing::field::Empty;
use versions::Versions;
use watch::{Looks, Scope};

/// Pods and Jobs change in bursts: one look at the end of it sees what one after each change would. What a person changes is not waited
/// for.
const COALESCING: Duration = Duration::from_millis(50);

/// So many failures in a row are no coincidence.
const PERSISTENT: u32 = 8;

/// The name that metrics know this controller by.
const KIND: &str = "FineTuneJob";

/// Carries out FineTuneJobs while this process leads, until a stop is requested and the reconciliations that were under way are done.
pub async fn run(leadership: Leadership) -> anyhow::Result<()> {
    let Leadership { client, args, operator_namespace, identity, metrics, health, shutdown } = leadership;
    let scope = args.cluster.namespace.clone().map_or(Scope::Cluster, Scope::Namespace);
    let (looks, looked_at) = mpsc::unbounded_channel();
    let (news, told) = mpsc::unbounded_channel();
    let (families, versions) = (Arc::new(Families::default()), Arc::new(Versions::default()));
    let machines = Arc::new(Machines::default());
    let mut watches = watch::start(&client, &scope, &families, &versions, &looks);
    if scope == Scope::Cluster {
        watches.machines(&client, &machines);
    }
    let (jobs, writer) = reflector::store::<KnownJob>();
    let queue = Arc::new(Queue::default());
    let scraper = Scraper::new(args.jobs.scrape_interval, Arc::clone(&metrics), news);
    let reporter = Reporter { controller: "temper-operator".to_owned(), instance: Some(identity) };
    let context = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        scraper,
        families,
        versions,
        machines,
        queue: Arc::clone(&queue),
        settings: settings(&args, operator_namespace),
        metrics,
        health: health.clone(),
        failures: Failures::default(),
        superseded: Superseded::default(),
        settled: Settled::default(),
        client,
    });
    census::take_before_scrapes(&context, &jobs);
    let stream = changed(scope.api(&context.client), (jobs.clone(), writer), looks, &context);
    // A decision on half of the facts would start what runs already.
    match shutdown.or(watches.listed()).await {
        Some(listed) => listed?,
        None => return Ok(()),
    }
    let stopping = shutdown.clone();
    let stop = async move { stopping.requested().await };
    // A controller whose store was never filled does not end, however graceful it is to be; and it has begun nothing.
    let filled = health.readiness.clone();
    let stopped_before_it_began = async move {
        shutdown.requested().await;
        if filled.is_met(Condition::Caches) == Some(true) {
            std::future::pending::<()>().await;
        }
    };
    let missed = Arc::clone(&context);
    let controller = Controller::for_stream(stream, jobs)
        .with_config(controller::Config::default().concurrency(args.cluster.concurrency))
        .reconcile_on(references(looked_at, Arc::clone(&queue)))
        .reconcile_on(references(told, Arc::clone(&queue)))
        .graceful_shutdown_on(stop)
        .run(reconcile_and_count, retry, context)
        .for_each(|done| {
            if let Err(error) = done {
                tracing::debug!("{error}");
                if let Some(key) = missing(&error) {
                    missed.queue.leaves(&key);
                    if missed.settled.has(&key) {
                        missed.families.shrink(&key);
                    }
                }
            }
            std::future::ready(())
        });
    tokio::select! {
        () = controller => Ok(()),
        () = stopped_before_it_began => Ok(()),
        ended = watches.ended() => Err(ended),
    }
}

/// The jobs that somebody else has changed, as the watch tells them. They are kept by the writer, and settled ones are not. What a listing
/// brings is kept all at once, when it is done: `looks` is told of it then, for a look before would find what was kept before.
fn changed(
    jobs: Api<KnownJob>,
    (kept, writer): (reflector::Store<KnownJob>, reflector::store::Writer<KnownJob>),
    looks: Looks,
    context: &Arc<Context>,
) -> impl Stream<Item = watcher::Result<KnownJob>> + Send + use<> {
    let [seen, passing, listed, echoing, touched] = [(); 5].map(|()| Arc::clone(context));
    watch::events(jobs, watch_config(), || {})
        // The controller would let everything wait that it is told of, by the other watches too.
        .filter_map(|event| std::future::ready(event.map_err(|error| watch::complain("finetunejobs", &error)).ok().map(Ok)))
        .inspect_ok(move |event| match event {
            Event::Apply(job) | Event::InitApply(job) if job.is_active() => {}
            // It is not reconciled any more, or only for its time after the end, and its trainers are going.
            Event::Apply(job) | Event::InitApply(job) | Event::Delete(job) => seen.forget(job.uid()),
            Event::Init | Event::InitDone => {}
        })
        .try_filter_map(move |event| std::future::ready(Ok(passing.settled.pass(event))))
        .reflect(writer)
        .inspect_ok(move |event| {
            if matches!(event, Event::InitDone) {
                let jobs = kept.state();
                listed.health.readiness.met(Condition::Caches);
                listed.retain(&jobs.iter().map(|job| job.uid()).collect());
                // What belongs to the jobs is listed before they are.
                listed.families.shrink_those(|key| listed.settled.has(key));
                // The receiver is gone only when the controller is stopping.
                jobs.iter().for_each(|job| drop(looks.send(key(job))));
            }
        })
        .try_filter_map(|event| {
            std::future::ready(Ok(match event {
                Event::Apply(job) | Event::Delete(job) => Some(job),
                Event::Init | Event::InitApply(_) | Event::InitDone => None,
            }))
        })
        .try_filter(move |job| {
            let version = job.metadata.resource_version.as_deref();
            std::future::ready(!(job.is_active() && echoing.superseded.is_echo(job.uid(), version)))
        })
        .inspect_ok(move |job| touched.queue.joins(key(job)))
}

/// What objects are made with that jobs do not say.
pub fn settings(args: &OperatorArgs, operator_namespace: String) -> Settings {
    let jobs = &args.jobs;
    Settings {
        trainer_image: jobs.trainer_image.clone(),
        trainer_image_pull_policy: Some(jobs.trainer_image_pull_policy.into()),
        run_volume_size: jobs.run_volume_size.to_string(),
        run_volume_storage_class: jobs.run_volume_storage_class.clone(),
        operator_namespace: Some(operator_namespace),
        metrics_namespaces: jobs.metrics_namespaces.clone(),
        environment: jobs.pod_environment.iter().cloned().collect(),
        pods_without_user: jobs.pods_without_user,
    }
}

/// The jobs to look at again, as they are told: each once, however much happens to it within the time that is waited for more.
fn references<K: Into<JobKey> + Send + 'static>(
    receiver: mpsc::UnboundedReceiver<K>,
    queue: Arc<Queue>,
) -> impl Stream<Item = ObjectRef<KnownJob>> + Send {
    stream::unfold((receiver, queue), |(mut receiver, queue)| async move {
        let mut keys = BTreeSet::from([receiver.recv().await?.into()]);
        tokio::time::sleep(COALESCING).await;
        while let Ok(key) = receiver.try_recv() {
            keys.insert(key.into());
        }
        let reference = |key: &JobKey| ObjectRef::new(&key.name).within(&key.namespace);
        let references: Vec<_> = keys.iter().map(reference).collect();
        keys.into_iter().for_each(|key| queue.joins(key));
        Some((stream::iter(references), (receiver, queue)))
    })
    .flatten()
}

fn key(job: &KnownJob) -> JobKey {
    JobKey { namespace: job.namespace().to_owned(), name: job.name().to_owned() }
}

/// The job that was to be reconciled and is not kept: it is settled, or there is none.
fn missing<Q>(error: &controller::Error<Error, Q>) -> Option<JobKey>
where
    Q: std::error::Error + 'static,
{
    match error {
        controller::Error::ObjectNotFound(missing) => {
            Some(JobKey { namespace: missing.namespace.clone().unwrap_or_default(), name: missing.name.clone() })
        }
        _ => None,
    }
}

impl From<(String, String)> for JobKey {
    fn from((namespace, name): (String, String)) -> Self {
        Self { namespace, name }
    }
}

async fn reconcile_and_count(job: Arc<KnownJob>, context: Arc<Context>) -> Result<Action, Error> {
    let _running = context.health.watchdog.begin(format!("{KIND} {}/{}", job.namespace(), job.name()));
    let key = key(&job);
    context.queue.leaves(&key);
    let began = Instant::now();
    let uid = job.uid().to_owned();
    let span = tracing::info_span!("reconcile", job = %format_args!("{}/{}", job.namespace(), job.name()), outcome = Empty);
    let outcome = reconcile::reconcile(job, Arc::clone(&context)).instrument(span.clone()).await;
    let word = match &outcome {
        Ok(_) => {
            context.failures.forget(&uid);
            "success"
        }
        Err(error) => error.kind(),
    };
    span.record("outcome", word);
    context.metrics.reconciled(KIND, word, began.elapsed());
    if context.settled.has(&key) {
        // The watch has brought the end before the answer to its writing came.
        context.superseded.forget(&uid);
    }
    outcome
}

fn retry(job: Arc<KnownJob>, error: &Error, context: Arc<Context>) -> Action {
    let (count, wait) = context.failures.note(job.uid(), Instant::now(), |count| error.wait(count));
    // Two writers meeting is everyday life, unless it goes on; the rest somebody should see.
    if matches!(error, Error::Conflict { .. } | Error::Early { .. }) && count < PERSISTENT {
        tracing::debug!(namespace = job.namespace(), name = job.name(), "{error}");
    } else {
        tracing::warn!(namespace = job.namespace(), name = job.name(), failures = count, "{error}");
    }
    Action::requeue(wait)
}

/// The time without its fraction: Kubernetes keeps times in whole seconds, and a status that is read back must equal what was written.
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::{JobKey, Queue, references};
    use futures::StreamExt;
    use std::sync::Arc;
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_look_at_each_job_and_what_comes_later_is_another() {
        let (looks, looked_at) = mpsc::unbounded_channel();
        let queue = Arc::new(Queue::default());
        let mut references = Box::pin(references(looked_at, Arc::clone(&queue)));
        let tell = |name: &str| looks.send(JobKey { namespace: "ml".to_owned(), name: name.to_owned() }).expect("it listens");
        ["b", "a", "b", "b"].into_iter().for_each(tell);
        let mut told = Vec::new();
        for _ in 0..2 {
            told.push(references.next().await.expect("it goes on").name);
        }
        assert_eq!((told, queue.depth()), (vec!["a".to_owned(), "b".to_owned()], 2));
        tell("b");
        assert_eq!(references.next().await.map(|reference| reference.name).as_deref(), Some("b"));
        drop(looks);
        assert!(references.next().await.is_none());
    }
}
