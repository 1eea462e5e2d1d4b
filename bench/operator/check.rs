//! One life under each controller: what it leaves must be equal, or figures of the two say nothing.

use crate::controller::{Program, Side};
use crate::lives;
use crate::normal::{differences, normal};
use crate::world::World;
use anyhow::{Context, Result, bail};
use kube::api::{DynamicObject, ListParams};
use kube::core::TypeMeta;
use serde_json::{Value, json};
use temper_crds::{API_VERSION, label};

/// What a life leaves: API version and kind.
const KINDS: [(&str, &str); 8] = [
    (API_VERSION, "FineTuneJob"),
    (API_VERSION, "ModelVersion"),
    ("batch/v1", "Job"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("v1", "PersistentVolumeClaim"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("events.k8s.io/v1", "Event"),
];

/// A job that is done, as our operator leaves it.
pub(crate) struct Finished {
    /// Its name.
    pub(crate) name: String,
    /// Its UID.
    pub(crate) uid: String,
    /// Its status.
    pub(crate) status: Value,
    /// The ModelVersion that it made.
    pub(crate) version: Value,
}

/// Has each controller carry one job out and compares what is there then.
pub(crate) async fn equal_ends(programs: &Program) -> Result<Finished> {
    let ours = one_life(programs, Side::Ours).await?;
    let peers = one_life(programs, Side::Peer).await?;
    let mut found = Vec::new();
    for (place, (_, kind)) in KINDS.into_iter().enumerate() {
        found.extend(differences(&ours.left[place], &peers.left[place]).into_iter().map(|difference| format!("{kind}{difference}")));
    }
    if !found.is_empty() {
        bail!("the two controllers do not leave the same (ours and the peer's):\n{}", found.join("\n"));
    }
    println!("    {} objects and {} events of each, equal", ours.objects, ours.events);
    Ok(ours.finished)
}

/// What was there after a life.
struct Left {
    left: Vec<Value>,
    objects: usize,
    events: usize,
    finished: Finished,
}

async fn one_life(programs: &Program, side: Side) -> Result<Left> {
    let world = World::new("check", side).await;
    let controller = programs.start(side, &world.namespace, &world.credentials).await?;
    lives::live(&world, 1, 1).await.with_context(|| format!("{side}:\n{}", controller.log()))?;
    // Events are told after the status.
    tokio::time::sleep(lives::SETTLE).await;
    controller.stop().await?;
    let mut all = Vec::new();
    for (api_version, kind) in KINDS {
        all.push(list(&world, api_version, kind).await?);
    }
    let job = all[0].first().context("the job is there")?;
    let text = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, uid) = (text(job, "/metadata/name"), text(job, "/metadata/uid"));
    let finished =
        Finished { status: job["status"].clone(), version: all[1].first().cloned().context("it registered its model")?, name, uid };
    let plain = |object: &Value| normal(object, world.namespace.name(), &finished.uid);
    let left: Vec<Value> = all.iter().map(|objects| objects.iter().map(plain).collect()).collect();
    let count = |list: &[Vec<Value>]| list.iter().map(Vec::len).sum();
    Ok(Left { left, objects: count(&all[..KINDS.len() - 1]), events: count(&all[KINDS.len() - 1..]), finished })
}

async fn list(world: &World, api_version: &str, kind: &str) -> Result<Vec<Value>> {
    let api = world.namespace.untyped(&json!({ "apiVersion": api_version, "kind": kind }));
    // Jobs and events carry no label of ours; of Kubernetes' own objects in a namespace none does.
    let made = ListParams::default().labels(&format!("{}={},{}", label::MANAGED_BY, label::MANAGER, label::JOB_NAME));
    let params = if matches!(kind, "FineTuneJob" | "Event") { ListParams::default() } else { made };
    let mut found = api.list(&params).await.with_context(|| format!("cannot list {kind}"))?.items;
    found.sort_by(|left, right| left.metadata.name.cmp(&right.metadata.name));
    if kind == "Event" {
        return Ok(events(&found));
    }
    Ok(found.iter().map(|object| content(object, kind)).collect())
}

/// All of an object but what others write: a Job's status is the Job controller's, and the garbage collector marks what it sees.
fn content(object: &DynamicObject, kind: &str) -> Value {
    let mut object = object.clone();
    object.types = Some(TypeMeta { api_version: String::new(), kind: kind.to_owned() });
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if kind != "FineTuneJob"
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("status");
    }
    value
}

/// What was told of the job, in any order: an event's name is made of its time.
fn events(found: &[DynamicObject]) -> Vec<Value> {
    let of_job = found.iter().filter(|event| event.data.pointer("/regarding/kind").is_some_and(|kind| kind == "FineTuneJob"));
    let mut told: Vec<Value> = of_job
        .map(|event| {
            let field = |name: &str| event.data.get(name).cloned().unwrap_or_default();
            let fields = ["type", "reason", "note", "action", "reportingController"];
            fields.into_iter().map(|name| (name.to_owned(), field(name))).collect::<serde_json::Map<_, _>>().into()
        })
        .collect();
    told.sort_by_key(Value::to_string);
    told
}
