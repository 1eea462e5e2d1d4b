//! The watches: each keeps a part of what is known up to date and says which job to look at again.

use super::family::{Families, JobKey, Kind};
use super::machines::Machines;
use super::versions::Versions;
use crate::client::watch_config;
use crate::watched::{BatchJobEvent, Marker, PodEvent};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use temper_crds::{ModelVersion, label};
use temper_planner::gpu_memory;
use tokio::sync::{mpsc, watch};

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// One.
    Namespace(String),
}

impl Scope {
    /// The API of a kind in this scope.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        match self {
            Self::Cluster => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// What a watch on what belongs to jobs asks for.
fn of_jobs() -> watcher::Config {
    watch_config().labels(&format!("{}={},{}", label::MANAGED_BY, label::MANAGER, label::JOB_NAME))
}

/// Where a watch tells which job to look at again.
pub type Looks = mpsc::UnboundedSender<JobKey>;

/// Starts the watches on what belongs to jobs. The receiver says how many of them have their first listing.
pub fn start(client: &Client, scope: &Scope, families: &Arc<Families>, versions: &Arc<Versions>, looks: &Looks) -> Started {
    let (listed, progress) = watch::channel(0);
    let listed = Arc::new(listed);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(jobs(
        watcher(scope.api::<BatchJobEvent>(client), of_jobs()).default_backoff(),
        Arc::clone(families),
        looks.clone(),
        Arc::clone(&listed),
    ));
    tasks.spawn(pods(
        watcher(scope.api::<PodEvent>(client), of_jobs()).default_backoff(),
        Arc::clone(families),
        looks.clone(),
        Arc::clone(&listed),
    ));
    others::<k8s_openapi::api::core::v1::ConfigMap>(Kind::ConfigMap, client, scope, families, looks, &listed, &mut tasks);
    others::<k8s_openapi::api::core::v1::Service>(Kind::Service, client, scope, families, looks, &listed, &mut tasks);
    others::<k8s_openapi::api::core::v1::PersistentVolumeClaim>(
        Kind::PersistentVolumeClaim,
        client,
        scope,
        families,
        looks,
        &listed,
        &mut tasks,
    );
    others::<k8s_openapi::api::networking::v1::NetworkPolicy>(Kind::NetworkPolicy, client, scope, families, looks, &listed, &mut tasks);
    let registry = watcher(scope.api::<ModelVersion>(client), watch_config()).default_backoff();
    tasks.spawn(model_versions(registry, Arc::clone(versions), Arc::clone(&listed)));
    Started { progress, expected: tasks.len(), tasks }
}

/// The running watches; dropping it ends them.
pub struct Started {
    progress: watch::Receiver<usize>,
    expected: usize,
    tasks: tokio::task::JoinSet<()>,
}

impl Started {
    /// Waits until every watch has brought its first listing.
    pub async fn listed(&mut self) {
        let expected = self.expected;
        // The senders live as long as the tasks, and these as long as `self`.
        let _ = self.progress.wait_for(|listed| *listed >= expected).await;
    }

    /// Watches machines whose GPUs tell their memory, too. Nobody waits for them: without them less is checked, and nothing is wrong.
    pub fn machines(&mut self, client: &Client, machines: &Arc<Machines>) {
        let api = Api::<Marker<Node>>::all(client.clone());
        let events = watcher(api, watch_config().labels(gpu_memory::LABEL)).default_backoff();
        self.tasks.spawn(self::machines(events, Arc::clone(machines)));
    }
}

fn others<K>(
    kind: Kind,
    client: &Client,
    scope: &Scope,
    families: &Arc<Families>,
    looks: &Looks,
    listed: &Arc<watch::Sender<usize>>,
    tasks: &mut tokio::task::JoinSet<()>,
) where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let events = watcher(scope.api::<Marker<K>>(client), of_jobs()).default_backoff();
    let (families, looks, listed) = (Arc::clone(families), looks.clone(), Arc::clone(listed));
    tasks.spawn(async move { present::<K>(kind, events, families, looks, listed).await });
}

async fn jobs(
    events: impl Stream<Item = watcher::Result<Event<BatchJobEvent>>>,
    families: Arc<Families>,
    looks: Looks,
    listed: Arc<watch::Sender<usize>>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let touched = match event {
            Ok(Event::Apply(job) | Event::InitApply(job)) => families.put_job(job),
            Ok(Event::Delete(job)) => forget(&families, Kind::Job, &job.metadata),
            Ok(event) => bounds(&event, Kind::Job, &families, &looks, &listed),
            Err(error) => complain("jobs", &error),
        };
        tell(&looks, touched);
    }
}

async fn pods(
    events: impl Stream<Item = watcher::Result<Event<PodEvent>>>,
    families: Arc<Families>,
    looks: Looks,
    listed: Arc<watch::Sender<usize>>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let touched = match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => families.put_pod(pod),
            Ok(Event::Delete(pod)) => forget(&families, Kind::Pod, &pod.metadata),
            Ok(event) => bounds(&event, Kind::Pod, &families, &looks, &listed),
            Err(error) => complain("pods", &error),
        };
        tell(&looks, touched);
    }
}

/// Objects of which only is known that they are there.
async fn present<K: Debug>(
    kind: Kind,
    events: impl Stream<Item = watcher::Result<Event<Marker<K>>>>,
    families: Arc<Families>,
    looks: Looks,
    listed: Arc<watch::Sender<usize>>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let touched = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) if is_disowned(kind, &object.metadata) => {
                forget(&families, kind, &object.metadata)
            }
            Ok(Event::Apply(object) | Event::InitApply(object)) => {
                if let (Some(key), Some(name)) = (JobKey::of(&object.metadata), object.metadata.name.as_deref()) {
                    let digest = object.metadata.annotations.as_ref().and_then(|all| all.get(label::CONTENT_DIGEST));
                    families.put(key, kind, name, digest.map(String::as_str));
                }
                // That one is there changes nothing; that one is missing does.
                None
            }
            Ok(Event::Delete(object)) => forget(&families, kind, &object.metadata),
            Ok(event) => bounds(&event, kind, &families, &looks, &listed),
            Err(error) => complain("what belongs to jobs", &error),
        };
        tell(&looks, touched);
    }
}

/// Whether somebody took an object's owner reference away, so that it would outlive its job: it counts as missing, and is applied anew. A
/// claim may do without: one that holds a registered model does.
fn is_disowned(kind: Kind, metadata: &ObjectMeta) -> bool {
    kind != Kind::PersistentVolumeClaim
        && metadata.deletion_timestamp.is_none()
        && metadata.owner_references.iter().flatten().next().is_none()
}

async fn model_versions(
    events: impl Stream<Item = watcher::Result<Event<ModelVersion>>>,
    versions: Arc<Versions>,
    listed: Arc<watch::Sender<usize>>,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(version) | Event::InitApply(version)) => versions.put(&version),
            Ok(Event::Delete(version)) => versions.remove(&version),
            Ok(Event::Init) => versions.begin_listing(),
            Ok(Event::InitDone) => {
                versions.end_listing();
                listed.send_modify(|count| *count += 1);
            }
            Err(error) => {
                complain("model versions", &error);
            }
        }
    }
}

async fn machines(events: impl Stream<Item = watcher::Result<Event<Marker<Node>>>>, machines: Arc<Machines>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(node) | Event::InitApply(node)) => {
                if let (Some(name), Some(labels)) = (node.metadata.name, node.metadata.labels) {
                    machines.put(name, labels);
                }
            }
            Ok(Event::Delete(node)) => machines.remove(&node.metadata.name.unwrap_or_default()),
            Ok(Event::Init) => machines.clear(),
            Ok(Event::InitDone) => {}
            Err(error) => {
                complain("machines with GPUs", &error);
            }
        }
    }
}

/// The begin and the end of a listing.
fn bounds<K>(event: &Event<K>, kind: Kind, families: &Families, looks: &Looks, listed: &watch::Sender<usize>) -> Option<JobKey> {
    match event {
        Event::Init => families.begin_listing(kind),
        Event::InitDone => {
            families.end_listing(kind).into_iter().for_each(|key| tell(looks, Some(key)));
            listed.send_modify(|count| *count += 1);
        }
        _ => {}
    }
    None
}

fn forget(families: &Families, kind: Kind, metadata: &ObjectMeta) -> Option<JobKey> {
    let key = JobKey::of(metadata)?;
    families.remove(&key, kind, metadata.name.as_deref()?);
    Some(key)
}

fn complain(what: &str, error: &watcher::Error) -> Option<JobKey> {
    tracing::warn!("failed to watch {what}; trying again: {error}");
    None
}

fn tell(looks: &Looks, key: Option<JobKey>) {
    if let Some(key) = key {
        // The receiver is gone only when the controller is stopping.
        let _ = looks.send(key);
    }
}
