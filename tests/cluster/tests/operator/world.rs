//! A namespace with an operator, a played kubelet and played trainers.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use temper_cluster_tests::kubelet::{End, Play};
use temper_cluster_tests::last_words::{prepared, published, trained};
use temper_cluster_tests::metrics_page::MetricsPage;
use temper_cluster_tests::operator::OperatorOptions;
use temper_cluster_tests::proxy::Request;
use temper_cluster_tests::{FaultProxy, Namespace, Operator, PlayedKubelet, wait};
use temper_contract::metric;
use temper_crds::condition::{Condition, ConditionStatus};
use temper_crds::{FineTuneJob, label};

/// Rank 0's metrics, as the operator's objects have them.
const METRICS_PORT: u16 = 9400;

/// What a test sees and moves.
pub(crate) struct World {
    pub(crate) namespace: Namespace,
    pub(crate) kubelet: PlayedKubelet,
    pub(crate) operator: Operator,
    /// What rank 0 of whatever attempt runs says on `/metrics`.
    pub(crate) page: MetricsPage,
}

/// The rights that the operator is documented to need in a namespace.
pub(crate) fn rules() -> Vec<PolicyRule> {
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(resources.iter().map(|name| (*name).to_owned()).collect()),
        verbs: verbs.iter().map(|name| (*name).to_owned()).collect(),
        ..PolicyRule::default()
    };
    vec![
        rule("temper.dev", &["finetunejobs"], &["get", "list", "watch"]),
        rule("temper.dev", &["finetunejobs/status"], &["patch"]),
        rule("temper.dev", &["modelversions"], &["get", "list", "watch", "create"]),
        rule("batch", &["jobs"], &["get", "list", "watch", "create", "patch", "delete"]),
        rule("", &["pods"], &["list", "watch"]),
        rule("", &["configmaps", "services", "persistentvolumeclaims"], &["list", "watch", "create", "patch", "delete"]),
        rule("networking.k8s.io", &["networkpolicies"], &["list", "watch", "create", "patch", "delete"]),
        rule("events.k8s.io", &["events"], &["create", "patch", "list"]),
        rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "create", "update", "patch"]),
        // Owner references with blockOwnerDeletion need the right to the owner's finalizers where that admission is on.
        rule("temper.dev", &["finetunejobs/finalizers"], &["update"]),
    ]
}

/// What pods of a stage do unless a test says otherwise: prepare and publish succeed, trainers run.
pub(crate) fn usual(page: &MetricsPage) -> impl Fn(&Pod) -> Play + Send + Sync + 'static {
    let page = page.clone();
    move |pod| match stage(pod) {
        "prepare" => Play::succeeds(prepared()),
        "publish" => Play::succeeds(published()),
        _ if index(pod) == 0 => Play::runs().serving(METRICS_PORT, &page),
        _ => Play::runs(),
    }
}

impl World {
    /// A world in which everything goes as usual.
    pub(crate) async fn new(purpose: &str) -> Self {
        let page = MetricsPage::default();
        let script = usual(&page);
        Self::with(purpose, page, script, 2).await
    }

    /// A world with a script of its own and so many nodes.
    pub(crate) async fn with(
        purpose: &str,
        page: MetricsPage,
        script: impl Fn(&Pod) -> Play + Send + Sync + 'static,
        nodes: usize,
    ) -> Self {
        Self::start(purpose, page, script, nodes, &[], None).await
    }

    /// The usual world, with the operator behind a proxy.
    pub(crate) async fn behind(purpose: &str, proxy: &FaultProxy) -> Self {
        Self::flagged(purpose, &[], Some(proxy)).await
    }

    /// The usual world, whose operator has more flags; they go before those that it has anyway.
    pub(crate) async fn flagged(purpose: &str, flags: &[&str], proxy: Option<&FaultProxy>) -> Self {
        let page = MetricsPage::default();
        let script = usual(&page);
        Self::start(purpose, page, script, 2, flags, proxy).await
    }

    async fn start(
        purpose: &str,
        page: MetricsPage,
        script: impl Fn(&Pod) -> Play + Send + Sync + 'static,
        nodes: usize,
        flags: &[&str],
        proxy: Option<&FaultProxy>,
    ) -> Self {
        let namespace = Namespace::create(purpose).await;
        let account = namespace.service_account("temper-operator", &rules()).await;
        let kubelet = PlayedKubelet::start(&namespace, nodes, script).await;
        let options = OperatorOptions::new(&namespace, &account).flags(["--scrape-interval", "1s", "--leader-election", "false"]);
        // Of a flag that is given twice the last one counts.
        let options = options.flags(flags.iter().copied());
        let options = match proxy {
            Some(proxy) => options.through(proxy),
            None => options,
        };
        let mut operator = options.start();
        operator.ready().await;
        Self { namespace, kubelet, operator, page }
    }

    pub(crate) fn jobs(&self) -> Api<FineTuneJob> {
        self.namespace.api()
    }

    pub(crate) fn batch_jobs(&self) -> Api<Job> {
        self.namespace.api()
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        self.namespace.api()
    }

    /// Creates a job of two nodes; the patch is merged into its spec.
    pub(crate) async fn create(&self, name: &str, patch: Value) -> FineTuneJob {
        self.namespace.create_object(job(name, patch)).await
    }

    /// Changes a job's spec.
    pub(crate) async fn patch(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.jobs().patch(name, &PatchParams::default(), &patch).await.expect("the API server takes the change");
    }

    /// Waits until Ready's reason is this word.
    pub(crate) async fn state(&self, name: &str, word: &str) -> FineTuneJob {
        let description = format!("{word} (Ready's reason)");
        wait::until(&self.jobs(), name, &description, |job| condition(job, "Ready").is_some_and(|ready| ready.reason == word)).await
    }

    /// Waits until the job is complete, with nothing tried twice.
    pub(crate) async fn comes_to_its_end(&self, name: &str) {
        let job = self.state(name, "Complete").await;
        assert_eq!(job.status.map(|status| (status.restarts, status.attempt)), Some((0, Some(0))), "{name}");
    }

    /// Waits until the attempt's pods run; their names in the order of their nodes.
    pub(crate) async fn running(&self, job: &str, attempt: u64, nodes: usize) -> Vec<String> {
        wait::eventually(wait::PATIENCE, &format!("attempt {attempt} of {job} runs on {nodes} nodes"), async || {
            let running = self.running_now(job, attempt).await?;
            if running.len() == nodes { Ok(running) } else { Err(format!("{running:?}")) }
        })
        .await
    }

    /// The attempt's pods that run at this moment; their names in the order of their nodes.
    pub(crate) async fn running_now(&self, job: &str, attempt: u64) -> Result<Vec<String>, String> {
        let selector = format!("{}={job},{}=train,{}={attempt}", label::JOB_NAME, label::STAGE, label::ATTEMPT);
        let found = self.pods().list(&ListParams::default().labels(&selector)).await.map_err(|error| error.to_string())?;
        let mut running: Vec<&Pod> = found.items.iter().filter(|pod| phase(pod) == "Running").collect();
        running.sort_by_key(|pod| index(pod));
        Ok(running.into_iter().map(ResourceExt::name_any).collect())
    }

    /// Ends the attempt's pods as a training that is done does.
    pub(crate) async fn finish(&self, job: &str, attempt: u64) {
        let pods = self.running(job, attempt, 2).await;
        for (node, pod) in pods.iter().enumerate() {
            let message = if node == 0 { trained() } else { String::new() };
            self.kubelet.end(pod, End::exit(0, message)).await;
        }
    }
}

/// Waits until the operator has asked for something so many times.
pub(crate) async fn until_requested(proxy: &FaultProxy, times: usize, wanted: impl Fn(&Request) -> bool) {
    wait::eventually(wait::PATIENCE, "the operator asks for it", async || {
        let count = proxy.requests(&wanted).len();
        if count >= times { Ok(()) } else { Err(format!("{count} times, not {times}")) }
    })
    .await;
}

/// A job of two nodes whose spec a patch is merged into.
pub(crate) fn job(name: &str, patch: Value) -> Value {
    let mut job = json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": name },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny" },
            "dataset": { "storageUri": "pvc://datasets/rows.jsonl", "format": "text" },
            "method": { "type": "lora", "lora": {} },
            "hyperparameters": { "maxSteps": 60 },
            "trainer": { "numNodes": 2, "numProcPerNode": 2, "resourcesPerNode": { "limits": { "cpu": "2" } } },
            "checkpoint": { "storageUri": "pvc://checkpoints/tiny", "saveSteps": 10 },
            "output": { "storageUri": "pvc://models/out", "register": { "modelName": name, "stage": "Staging" } },
        },
    });
    for (field, value) in patch.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

pub(crate) fn condition<'a>(job: &'a FineTuneJob, type_: &str) -> Option<&'a Condition> {
    job.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}

pub(crate) fn holds(job: &FineTuneJob, type_: &str) -> bool {
    condition(job, type_).is_some_and(|condition| condition.status == ConditionStatus::True)
}

pub(crate) fn stage(pod: &Pod) -> &str {
    pod.labels().get(label::STAGE).map_or("", String::as_str)
}

pub(crate) fn attempt(pod: &Pod) -> &str {
    pod.labels().get(label::ATTEMPT).map_or("", String::as_str)
}

pub(crate) fn index(pod: &Pod) -> usize {
    pod.annotations().get("batch.kubernetes.io/job-completion-index").and_then(|index| index.parse().ok()).unwrap_or(0)
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Rank 0's metrics at a step of 60, with the newest checkpoint at another.
pub(crate) fn metrics(step: u64, checkpoint: u64) -> String {
    let started = Timestamp::now().as_second() - 100;
    let line = |metric: metric::Metric, value: f64| format!("{}{{job_name=\"x\",rank=\"0\"}} {value}\n", metric.name);
    [
        line(metric::STEP, step as f64),
        line(metric::TOTAL_STEPS, 60.0),
        line(metric::TRAINING_LOSS, 1.25),
        line(metric::LEARNING_RATE, 2e-4),
        line(metric::TOKENS_PER_SECOND, 450.0),
        line(metric::GPU_MEMORY, 2e9),
        line(metric::EPOCH, 0.5),
        line(metric::STARTED, started as f64),
        line(metric::RESUMED_FROM_STEP, 0.0),
        line(metric::CHECKPOINT_STEP, checkpoint as f64),
    ]
    .concat()
}
