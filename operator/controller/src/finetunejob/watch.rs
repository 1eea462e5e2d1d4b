//! The watches: each keeps a part of what is known up to date and says which job to look at again.

use super::family::{Families, JobKey, Kind, Whose};
use super::machines::Machines;
use super::versions::Versions;
use crate::client::watch_config;
use crate::watched::{BatchJobEvent, Marker, PodEvent};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, ObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::pin::pin;
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

/// Starts the watches on what belongs to jobs.
pub fn start(client: &Client, scope: &Scope, families: &Arc<Families>, versions: &Arc<Versions>, looks: &Looks) -> Started {
    let (listed, progress) = watch::channel(0);
    let listed = Arc::new(listed);
    let first = || FirstListing(Some(Arc::clone(&listed)));
    let mut tasks = tokio::task::JoinSet::new();
    let of = |kind| Members { kind, families: Arc::clone(families), looks: looks.clone(), first: first() };
    tasks.spawn(of(Kind::Job).follow(scope.api::<BatchJobEvent>(client), Families::put_job));
    tasks.spawn(of(Kind::Pod).follow(scope.api::<PodEvent>(client), Families::put_pod));
    tasks.spawn(of(Kind::ConfigMap).follow(scope.api::<Marker<ConfigMap>>(client), put_owned(Kind::ConfigMap)));
    tasks.spawn(of(Kind::Service).follow(scope.api::<Marker<Service>>(client), put_owned(Kind::Service)));
    tasks.spawn(of(Kind::NetworkPolicy).follow(scope.api::<Marker<NetworkPolicy>>(client), put_owned(Kind::NetworkPolicy)));
    tasks.spawn(of(Kind::PersistentVolumeClaim).follow(scope.api::<Marker<PersistentVolumeClaim>>(client), put_claim));
    tasks.spawn(model_versions(scope.api::<ModelVersion>(client), Arc::clone(versions), first()));
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
    ///
    /// # Errors
    /// When a watch has ended, which none does by itself.
    pub async fn listed(&mut self) -> anyhow::Result<()> {
        let expected = self.expected;
        tokio::select! {
            // Its senders live until each watch has counted, or has ended.
            Ok(_) = self.progress.wait_for(|listed| *listed >= expected) => Ok(()),
            ended = ended(&mut self.tasks) => Err(ended),
        }
    }

    /// Waits for the end of a watch, which none comes to by itself: what happens is not seen any more.
    pub async fn ended(&mut self) -> anyhow::Error {
        ended(&mut self.tasks).await
    }

    /// Watches machines whose GPUs tell their memory, too. Nobody waits for them: without them less is checked, and nothing is wrong.
    pub fn machines(&mut self, client: &Client, machines: &Arc<Machines>) {
        let api = Api::<Marker<Node>>::all(client.clone());
        let known = Arc::clone(machines);
        let events = events(api, watch_config().labels(gpu_memory::LABEL), move || known.clear());
        self.tasks.spawn(self::machines(events, Arc::clone(machines)));
    }
}

/// What a watch says when its first listing is done: it is counted once, however often it lists.
struct FirstListing(Option<Arc<watch::Sender<usize>>>);

impl FirstListing {
    fn done(&mut self) {
        if let Some(listed) = self.0.take() {
            listed.send_modify(|count| *count += 1);
        }
    }
}

/// How a watch has ended.
async fn ended(tasks: &mut tokio::task::JoinSet<()>) -> anyhow::Error {
    match tasks.join_next().await {
        Some(Err(error)) => anyhow::Error::new(error).context("a watch has ended"),
        _ => anyhow::anyhow!("a watch has ended"),
    }
}

/// What happens to objects. After errors it waits, longer each time until something has come. `begins` is called before objects are asked
/// for anew: what somebody else has noted since then is not older than the answer.
pub fn events<K>(
    api: Api<K>,
    config: watcher::Config,
    mut begins: impl FnMut() + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let asked = watcher(api, config).inspect_ok(move |event| {
        if matches!(event, Event::Init) {
            begins();
        }
    });
    begun(asked).default_backoff()
}

/// The same events, with the begin of a listing told together with what it brings first: one that is refused has not begun, and must not
/// count as a success between two errors.
fn begun<K>(events: impl Stream<Item = watcher::Result<Event<K>>> + Send) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Send,
{
    let mut begins = false;
    events
        .flat_map(move |event| {
            let before = match &event {
                Ok(Event::Init) => {
                    begins = true;
                    return stream::iter([None, None]);
                }
                Ok(_) => std::mem::take(&mut begins).then_some(Ok(Event::Init)),
                Err(_) => {
                    begins = false;
                    None
                }
            };
            stream::iter([before, Some(event)])
        })
        .filter_map(std::future::ready)
}

/// Keeps the families' members of one kind up to date.
struct Members {
    kind: Kind,
    families: Arc<Families>,
    looks: Looks,
    first: FirstListing,
}

impl Members {
    /// For as long as there are events. `put` enters what is there, and gives the job to look at again.
    async fn follow<K>(mut self, api: Api<K>, put: impl Fn(&Families, K) -> Option<JobKey>)
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let (families, kind) = (Arc::clone(&self.families), self.kind);
        let mut events = pin!(events(api, of_jobs(), move || families.begin_listing(kind)));
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => tell(&self.looks, put(&self.families, object)),
                Ok(Event::Delete(object)) => tell(&self.looks, forget(&self.families, self.kind, object.meta())),
                Ok(Event::Init) => {}
                Ok(Event::InitDone) => {
                    self.families.end_listing(self.kind).into_iter().for_each(|key| tell(&self.looks, Some(key)));
                    self.first.done();
                }
                Err(error) => complain(&K::plural(&()), &error),
            }
        }
    }
}

/// An object of which is only known that it is there, with the digest of what is in it. That one is there changes nothing; that one is
/// missing does.
fn put_owned<K>(kind: Kind) -> impl Fn(&Families, Marker<K>) -> Option<JobKey> {
    move |families, object| {
        let metadata = object.metadata;
        if is_disowned(&metadata) {
            return forget(families, kind, &metadata);
        }
        let digest = metadata.annotations.as_ref().and_then(|all| all.get(label::CONTENT_DIGEST));
        families.put(JobKey::of(&metadata)?, kind, metadata.name.as_deref()?, digest.map(String::as_str));
        None
    }
}

/// A claim, and whose it is.
fn put_claim(families: &Families, claim: Marker<PersistentVolumeClaim>) -> Option<JobKey> {
    let metadata = claim.metadata;
    let owner = metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let whose = match (&metadata.deletion_timestamp, owner) {
        (Some(_), _) => Whose::Going,
        (None, Some(owner)) => Whose::Of(owner.uid.as_str().into()),
        (None, None) => Whose::Nobody,
    };
    families.put_claim(JobKey::of(&metadata)?, metadata.name.as_deref()?, whose);
    None
}

/// Whether somebody took an object's owner reference away, so that it would outlive its job: it counts as missing, and is applied anew.
fn is_disowned(metadata: &ObjectMeta) -> bool {
    metadata.deletion_timestamp.is_none() && metadata.owner_references.iter().flatten().next().is_none()
}

async fn model_versions(api: Api<ModelVersion>, versions: Arc<Versions>, mut first: FirstListing) {
    let listed = Arc::clone(&versions);
    let mut events = pin!(events(api, watch_config(), move || listed.begin_listing()));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(version) | Event::InitApply(version)) => versions.put(&version),
            Ok(Event::Delete(version)) => versions.remove(&version),
            Ok(Event::Init) => {}
            Ok(Event::InitDone) => {
                versions.end_listing();
                first.done();
            }
            Err(error) => complain("model versions", &error),
        }
    }
}

async fn machines(events: impl Stream<Item = watcher::Result<Event<Marker<Node>>>>, machines: Arc<Machines>) {
    let mut events = pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(node) | Event::InitApply(node)) => {
                if let (Some(name), Some(labels)) = (node.metadata.name, node.metadata.labels) {
                    machines.put(name, labels);
                }
            }
            Ok(Event::Delete(node)) => machines.remove(&node.metadata.name.unwrap_or_default()),
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => complain("machines with GPUs", &error),
        }
    }
}

fn forget(families: &Families, kind: Kind, metadata: &ObjectMeta) -> Option<JobKey> {
    let key = JobKey::of(metadata)?;
    families.remove(&key, kind, metadata.name.as_deref()?);
    Some(key)
}

/// Says that a watch failed.
pub fn complain(what: &str, error: &watcher::Error) {
    tracing::warn!("failed to watch {what}; trying again: {error}");
}

fn tell(looks: &Looks, key: Option<JobKey>) {
    if let Some(key) = key {
        // The receiver is gone only when the controller is stopping.
        let _ = looks.send(key);
    }
}

#[cfg(test)]
mod tests {
    use super::{begun, machines};
    use crate::finetunejob::machines::Machines;
    use crate::watched::Marker;
    use futures::{StreamExt, stream};
    use k8s_openapi::api::core::v1::Node;
    use kube::runtime::watcher::{Error, Event};
    use serde_json::json;
    use std::sync::Arc;
    use temper_planner::{Capabilities, ValidatedFineTuneJob, validate};

    fn machine(name: &str, mebibytes: u64) -> Marker<Node> {
        let labels = json!({ "nvidia.com/gpu.memory": mebibytes.to_string() });
        serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).expect("a node")
    }

    fn on_a_gpu() -> ValidatedFineTuneJob {
        let job = json!({
            "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": "tiny" },
            "spec": {
                "baseModel": { "storageUri": "pvc://models/tiny" },
                "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
                "method": { "type": "full" },
                "hyperparameters": { "maxSteps": 60 },
                "trainer": { "resourcesPerNode": { "limits": { "nvidia.com/gpu": 1 } } },
            },
        });
        validate(&serde_json::from_value(job).expect("a job"), Capabilities::CLUSTER).expect("valid")
    }

    #[tokio::test]
    async fn what_machines_tell_of_their_gpus_is_known_while_they_are_there() {
        let after = async |events: Vec<Event<Marker<Node>>>| {
            let known = Arc::new(Machines::default());
            machines(stream::iter(events.into_iter().map(Ok)), Arc::clone(&known)).await;
            known.gpu_memory(&on_a_gpu()).map(|bytes| bytes >> 20)
        };
        let listed = || vec![Event::Init, Event::InitApply(machine("a", 24_576)), Event::InitApply(machine("b", 40_960)), Event::InitDone];
        let then = |event| [listed(), vec![event]].concat();
        assert_eq!(after(listed()).await, Some(40_960));
        assert_eq!(after(then(Event::Delete(machine("b", 40_960)))).await, Some(24_576));
        assert_eq!(after(then(Event::Apply(machine("c", 81_559)))).await, Some(81_559));
    }

    #[tokio::test]
    async fn a_listing_that_is_refused_has_not_begun() {
        let refused = || Err(Error::NoResourceVersion);
        let told = [Ok(Event::Init), refused(), Ok(Event::Init), refused(), Ok(Event::Init), Ok(Event::InitApply(1)), Ok(Event::InitDone)];
        let heard: Vec<&str> = begun(stream::iter(told))
            .map(|event| match event {
                Ok(Event::Init) => "begin",
                Ok(Event::InitApply(_)) => "one",
                Ok(Event::InitDone) => "done",
                Ok(_) => "more",
                Err(_) => "error",
            })
            .collect()
            .await;
        assert_eq!(heard, ["error", "error", "begin", "one", "done"]);
    }
}
