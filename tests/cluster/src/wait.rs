//! Waiting for conditions, with a deadline that tells what was there instead.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// How long tests wait for what should take a moment. It is generous since two cores may be shared by many tests; a test that passes never
/// waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until an object is as described, and returns it.
///
/// # Panics
/// When it is not so in time; the message holds the object and its events.
pub async fn until<K>(api: &Api<K>, name: &str, description: &str, holds: impl Fn(&K) -> bool) -> K
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    until_within(PATIENCE, api, name, description, holds).await
}

/// The same with a patience of the caller's.
///
/// # Panics
/// When it is not so in time; the message holds the object and its events.
pub async fn until_within<K>(patience: Duration, api: &Api<K>, name: &str, description: &str, holds: impl Fn(&K) -> bool) -> K
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let met = watch(patience, api, name, |object| object.filter(|object| holds(object)).cloned()).await;
    match met {
        Ok(object) => object,
        Err(last) => panic!("{name} is not {description} after {patience:?}:\n{}", told(api, name, last).await),
    }
}

/// Waits until an object is gone.
///
/// # Panics
/// When it is still there in the end; the message holds the object and its events.
pub async fn gone<K>(api: &Api<K>, name: &str)
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let met = watch(PATIENCE, api, name, |object| object.is_none().then_some(())).await;
    if let Err(last) = met {
        panic!("{name} is still there after {PATIENCE:?}:\n{}", told(api, name, last).await);
    }
}

/// Watches an object until `met` returns something; otherwise its last state.
async fn watch<K, T>(patience: Duration, api: &Api<K>, name: &str, met: impl Fn(Option<&K>) -> Option<T>) -> Result<T, Option<K>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let deadline = Instant::now() + patience;
    let mut last = None;
    let mut changes = std::pin::pin!(watch_object(api.clone(), name).default_backoff());
    while let Ok(Some(change)) = timeout_at(deadline, changes.next()).await {
        // A failed watch starts again by itself.
        let Ok(object) = change else { continue };
        if let Some(value) = met(object.as_ref()) {
            return Ok(value);
        }
        last = object;
    }
    Err(last)
}

async fn told<K: Resource + Clone + Serialize>(api: &Api<K>, name: &str, object: Option<K>) -> String {
    let mut object = match object {
        None => return "it does not exist".to_owned(),
        Some(object) => object,
    };
    object.meta_mut().managed_fields = None;
    let state = serde_saphyr::to_string(&object).unwrap_or_else(|error| error.to_string());
    let client = api.clone().into_client();
    let events =
        object.namespace().map_or_else(|| Api::all(client.clone()), |namespace| Api::<Event>::namespaced(client.clone(), &namespace));
    let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let events = match events.list(&about).await {
        Err(error) => format!("they cannot be read: {error}"),
        Ok(events) if events.items.is_empty() => "none".to_owned(),
        Ok(events) => events.items.iter().map(one_line).collect::<Vec<_>>().join("\n"),
    };
    format!("{state}events: {events}")
}

fn one_line(event: &Event) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!("- {} {}: {}", text(&event.type_), text(&event.reason), text(&event.message))
}

/// Waits for what no watch tells: asks again and again until there is an answer.
///
/// # Panics
/// When there is none after `patience`; the message holds the last reason.
pub async fn eventually<T>(patience: Duration, description: &str, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + patience;
    let mut turns = interval(Duration::from_millis(20));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = "it was never asked".to_owned();
    loop {
        turns.tick().await;
        match timeout_at(deadline, ask()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(reason)) => last = reason,
            Err(_) => {}
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain until {description}: {last}");
    }
}
