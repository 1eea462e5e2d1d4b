//! The fault proxy does what it says, each fault once.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::{Either, select};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{PostParams, WatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use temper_cluster_tests::kubectl::command;
use temper_cluster_tests::proxy::{Fault, Request, Verb, Which};
use temper_cluster_tests::{ControlPlane, FaultProxy, Namespace, wait};

use crate::kubectl::as_admin;
use crate::servers::config_maps;

/// A client behind a proxy, and the same without it.
struct Place {
    namespace: Namespace,
    proxy: FaultProxy,
    /// Through the proxy.
    maps: Api<ConfigMap>,
    kubeconfig: PathBuf,
}

impl Place {
    async fn new(purpose: &str) -> Self {
        let namespace = Namespace::create(purpose).await;
        let credentials = namespace.service_account("client", &[config_maps(&["create", "get", "list", "watch", "delete"])]).await;
        let proxy = FaultProxy::start();
        let maps = Api::namespaced(proxy.client(&credentials), namespace.name());
        let kubeconfig = ControlPlane::shared().kubeconfig(&proxy.url(), namespace.name(), &credentials);
        Self { namespace, proxy, maps, kubeconfig }
    }

    async fn create(&self, name: &str) -> kube::Result<ConfigMap> {
        self.maps.create(&PostParams::default(), &map(name)).await
    }

    /// Whether it is there, asked without the proxy.
    async fn exists(&self, name: &str) -> bool {
        self.namespace.api::<ConfigMap>().get_opt(name).await.unwrap().is_some()
    }

    /// kubectl, about to create a map through the proxy.
    fn kubectl_creates(&self, name: &str) -> Child {
        command(&self.kubeconfig, &["-n", self.namespace.name(), "create", "configmap", name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap()
}

fn creates(request: &Request) -> bool {
    request.verb == Verb::Create && request.resource == "configmaps"
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("not an answer: {other}"),
    }
}

#[tokio::test]
async fn without_a_fault_the_proxy_only_counts() {
    let place = Place::new("counted").await;
    place.create("a").await.unwrap();
    place.create("b").await.unwrap();
    place.maps.get("a").await.unwrap();
    assert_eq!(place.maps.list(&Default::default()).await.unwrap().items.len(), 3, "two and the cluster's own certificate");
    let seen: Vec<_> = place.proxy.requests(|_| true).iter().map(|request| (request.verb, request.name.clone())).collect();
    assert_eq!(
        seen,
        [(Verb::Create, String::new()), (Verb::Create, String::new()), (Verb::Get, "a".to_owned()), (Verb::List, String::new())]
    );
    assert_eq!(place.proxy.requests(creates).len(), 2);
}

#[tokio::test]
async fn the_chosen_request_is_refused_and_has_no_effect() {
    let place = Place::new("refused").await;
    for (number, wanted) in [409, 429, 500].into_iter().enumerate() {
        place.proxy.set(Which::Nth(2), creates, Fault::Refuse(wanted));
        let [first, second, third] = [0, 1, 2].map(|turn| format!("map-{number}-{turn}"));
        place.create(&first).await.unwrap();
        assert_eq!(code(&place.create(&second).await.unwrap_err()), wanted);
        assert!(!place.exists(&second).await);
        place.create(&third).await.unwrap();
        place.proxy.heal();
    }
}

#[tokio::test]
async fn a_lie_and_a_lost_answer_hide_an_effect() {
    let place = Place::new("hidden").await;
    place.proxy.set(Which::First(1), creates, Fault::Lie(500));
    assert_eq!(code(&place.create("lied").await.unwrap_err()), 500);
    assert!(place.exists("lied").await);

    place.proxy.set(Which::First(1), |request| creates(request) || request.name == "lied", Fault::LoseAnswer);
    let lost = place.create("lost").await.unwrap_err();
    assert!(!matches!(lost, kube::Error::Api(_)), "an answer came: {lost}");
    assert!(place.exists("lost").await);
    place.maps.get("lied").await.unwrap();
}

#[tokio::test]
async fn a_swallowed_request_has_neither_effect_nor_answer_until_the_proxy_heals() {
    let place = Place::new("swallowed").await;
    place.proxy.set(Which::Every, creates, Fault::Swallow);
    let swallowed = wait::eventually(wait::PATIENCE, "the request is with the proxy", async || {
        if place.proxy.requests(creates).is_empty() { Err("it is not".to_owned()) } else { Ok(()) }
    });
    let answer = match select(Box::pin(place.create("gone")), Box::pin(swallowed)).await {
        Either::Left((answer, _)) => panic!("an answer came: {answer:?}"),
        Either::Right(((), answer)) => answer,
    };
    // Others are served meanwhile.
    assert!(place.maps.get_opt("gone").await.unwrap().is_none());
    place.proxy.heal();
    assert!(!matches!(answer.await.unwrap_err(), kube::Error::Api(_)));
    assert!(!place.exists("gone").await);
    place.create("gone").await.unwrap();
}

#[tokio::test]
async fn a_delayed_request_takes_effect_later() {
    let place = Place::new("delayed").await;
    let delay = Duration::from_millis(200);
    place.proxy.set(Which::First(1), creates, Fault::Delay(delay));
    let began = Instant::now();
    place.create("late").await.unwrap();
    assert!(began.elapsed() >= delay);
    assert!(place.exists("late").await);
}

#[tokio::test]
async fn hooks_run_before_and_after_the_effect() {
    let place = Place::new("hooks").await;
    let namespace = place.namespace.name().to_owned();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let look = |name: &'static str| {
        let (seen, namespace) = (Arc::clone(&seen), namespace.clone());
        Arc::new(move |_: &Request| {
            let (there, _) = as_admin(&["-n", &namespace, "get", "configmap", name], "");
            seen.lock().unwrap().push((name, there));
        })
    };
    place.proxy.set(Which::Nth(1), creates, Fault::Before(look("a")));
    place.proxy.set(Which::Nth(2), creates, Fault::After(look("b")));
    place.create("a").await.unwrap();
    place.create("b").await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [("a", false), ("b", true)]);
    assert!(place.exists("a").await);
}

#[tokio::test]
async fn a_process_is_killed_just_before_and_just_after_its_write() {
    let place = Place::new("killed").await;
    for (name, after) in [("before", false), ("after", true)] {
        let victim: Arc<Mutex<Option<Child>>> = Arc::new(Mutex::new(None));
        let hook = {
            let victim = Arc::clone(&victim);
            Arc::new(move |_: &Request| {
                let mut victim = victim.lock().unwrap();
                let victim = victim.as_mut().unwrap();
                victim.kill().unwrap();
                victim.wait().unwrap();
            })
        };
        place.proxy.set(Which::First(1), creates, if after { Fault::After(hook) } else { Fault::Instead(hook) });
        {
            // The hook waits for the lock, so that it finds the process.
            let mut victim = victim.lock().unwrap();
            *victim = Some(place.kubectl_creates(name));
        }
        let status = wait::eventually(wait::PATIENCE, "kubectl has ended", async || {
            let ended = victim.lock().unwrap().as_mut().unwrap().try_wait().unwrap();
            ended.ok_or_else(|| "it runs".to_owned())
        })
        .await;
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
        assert_eq!(place.exists(name).await, after);
        place.proxy.heal();
    }
}

#[tokio::test]
async fn cut_watches_break_and_begin_anew() {
    let place = Place::new("cut").await;
    let mut plain = Box::pin(place.maps.watch(&WatchParams::default().timeout(200), "0").await.unwrap());
    let mut kept = Box::pin(watcher(place.maps.clone(), watcher::Config::default()));
    let applied = async |kept: &mut futures::stream::BoxStream<'_, watcher::Result<Event<ConfigMap>>>, name: &str| {
        while let Some(event) = kept.next().await {
            if let Ok(Event::Apply(map) | Event::InitApply(map)) = event
                && map.metadata.name.as_deref() == Some(name)
            {
                return;
            }
        }
        panic!("the watcher ended before it saw {name}");
    };
    let mut kept: futures::stream::BoxStream<'_, _> = kept.as_mut().boxed();
    place.create("first").await.unwrap();
    applied(&mut kept, "first").await;
    let opened = |place: &Place| place.proxy.requests(|request| request.verb == Verb::Watch).len();
    let before = opened(&place);

    place.proxy.cut_watches();
    // What was sent before the cut comes first; then the stream breaks.
    while let Some(Ok(_)) = plain.next().await {}
    place.create("second").await.unwrap();
    applied(&mut kept, "second").await;
    assert!(opened(&place) > before, "the watcher did not begin anew");
}
