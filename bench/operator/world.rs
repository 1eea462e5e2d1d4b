//! A namespace with a controller's account and played pods.

use crate::controller::Side;
use crate::jobs;
use crate::rights::{ACCOUNT, rules};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use temper_cluster_tests::control_plane::Credentials;
use temper_cluster_tests::kubelet::{End, Play};
use temper_cluster_tests::metrics_page::MetricsPage;
use temper_cluster_tests::{Namespace, PlayedKubelet, last_words, wait};
use temper_crds::{FineTuneJob, label};

/// Rank 0's metrics, as the operator's objects have them.
const METRICS_PORT: u16 = 9400;

/// Names of training pods by job and node.
type Trainers = Arc<Mutex<HashMap<String, HashMap<usize, String>>>>;

/// A namespace, whose pods prepare and publish at once and train until they are ended.
pub(crate) struct World {
    pub(crate) namespace: Namespace,
    pub(crate) credentials: Credentials,
    /// What rank 0 of every running training says.
    pub(crate) page: MetricsPage,
    kubelet: Option<Arc<PlayedKubelet>>,
    trainers: Trainers,
}

impl World {
    /// A world with played pods.
    pub(crate) async fn new(purpose: &str, side: Side) -> Self {
        let mut world = Self::without_nodes(purpose, side).await;
        let (page, trainers) = (world.page.clone(), Arc::clone(&world.trainers));
        let script = move |pod: &Pod| play(pod, &page, &trainers);
        world.kubelet = Some(Arc::new(PlayedKubelet::start(&world.namespace, jobs::NODES, script).await));
        world
    }

    /// A world whose pods stay without a node.
    pub(crate) async fn without_nodes(purpose: &str, side: Side) -> Self {
        let word = match side {
            Side::Ours => "ours",
            Side::Peer => "peer",
        };
        let namespace = Namespace::create(&format!("{purpose}-{word}")).await;
        let credentials = namespace.service_account(ACCOUNT, &rules()).await;
        let page = MetricsPage::new(jobs::metrics(15));
        Self { namespace, credentials, page, kubelet: None, trainers: Arc::default() }
    }

    /// What the API server calls the controller.
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}:{ACCOUNT}", self.namespace.name())
    }

    /// Creates a job.
    pub(crate) async fn create(&self, name: &str) -> FineTuneJob {
        self.namespace.create_object(jobs::manifest(name)).await
    }

    /// Ends a job's training as one that is done, once its pods run.
    pub(crate) async fn finish_training(&self, job: &str) {
        let Some(kubelet) = &self.kubelet else { return };
        let pods = wait::eventually(wait::PATIENCE, &format!("the pods of {job} are seen"), async || {
            let known = self.trainers.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(job).filter(|pods| pods.len() == jobs::NODES).cloned().ok_or_else(|| "some are not there yet".to_owned())
        })
        .await;
        let ends = pods.iter().map(|(node, pod)| {
            let message = if *node == 0 { last_words::trained() } else { String::new() };
            kubelet.end(pod, End::exit(0, message))
        });
        futures::future::join_all(ends).await;
    }
}

fn play(pod: &Pod, page: &MetricsPage, trainers: &Trainers) -> Play {
    let text = |name: &str| pod.labels().get(name).cloned().unwrap_or_default();
    match text(label::STAGE).as_str() {
        "prepare" => Play::succeeds(last_words::prepared()),
        "publish" => Play::succeeds(last_words::published()),
        _ => {
            let index = pod.annotations().get("batch.kubernetes.io/job-completion-index").and_then(|index| index.parse().ok()).unwrap_or(0);
            let mut known = trainers.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry(text(label::JOB_NAME)).or_default().insert(index, pod.name_any());
            if index == 0 { Play::runs().serving(METRICS_PORT, page) } else { Play::runs() }
        }
    }
}
