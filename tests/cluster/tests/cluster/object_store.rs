//! A job whose model, rows, checkpoints and result are in S3, with keys from a Secret: it waits for the Secret, completes, and tells the
//! keys to nobody.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use temper_cluster_tests::nodes::MACHINE;
use temper_cluster_tests::{Namespace, Nodes, http, wait};
use temper_contract::{layout, metric};
use temper_crds::condition::{ConditionStatus, READY, STALLED, reason};
use temper_crds::{FineTuneJob, ModelVersion, label};
use temper_test_stores::{S3_SIGNED, Server, s3_with_users_at};

use crate::canary::{self, Canaries};
use crate::job::{PATIENCE, condition, ready_reason};
use crate::{release, tiny_model};

/// The job's name, and its model's.
const NAME: &str = "stored";
const BUCKET: &str = "cluster";
/// What each URI of the job begins with.
const STORE: &str = "s3://cluster/";
const SECRET: &str = "s3-keys";
/// Seconds of training: its metrics are there for as long.
const STEPS: u64 = 400;
/// Rank 0's metrics, as the operator's objects have them.
const METRICS_PORT: u16 = 9400;
/// The operator's, as the chart has them.
const OPERATOR_PORT: u16 = 8080;

fn manifest() -> Value {
    let uri = |path: &str| format!("{STORE}{path}");
    let keys = json!({ "name": SECRET });
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": NAME },
        "spec": {
            "baseModel": { "storageUri": uri("base"), "secretRef": keys },
            "dataset": { "storageUri": uri("data/rows.jsonl"), "secretRef": keys, "format": "prompt-completion", "maxLength": 128 },
            "method": { "type": "lora", "lora": { "r": 2, "loraAlpha": 4, "targetModules": ["all-linear"] } },
            "hyperparameters": { "maxSteps": STEPS, "perDeviceTrainBatchSize": 32, "learningRate": "1e-2", "precision": "fp32", "seed": 1 },
            // All stages find room beside the jobs of other tests.
            "trainer": {
                "numNodes": 1, "numProcPerNode": 1,
                "resourcesPerNode": { "requests": { "cpu": "200m", "memory": "256Mi" }, "limits": { "cpu": "500m", "memory": "1Gi" } },
            },
            "checkpoint": { "storageUri": uri("checkpoints"), "secretRef": keys, "saveSteps": STEPS / 2 },
            "output": { "storageUri": uri("models"), "secretRef": keys, "register": { "modelName": NAME } },
        },
    })
}

#[tokio::test]
async fn a_job_waits_for_the_secret_of_its_store_completes_in_the_store_and_tells_the_keys_to_nobody() {
    let nodes = Nodes::around().await;
    let (server, key_id, key) = s3_with_users_at(&MACHINE.to_string());
    fill(&server);
    release::install(&nodes).await;
    let namespace = nodes.namespace("object-store").await;
    namespace.create_object::<FineTuneJob>(manifest()).await;
    let jobs = namespace.api::<FineTuneJob>();

    let job = state(&jobs, reason::UNAVAILABLE).await;
    for type_ in [READY, STALLED] {
        let message = &condition(&job, type_).message;
        assert!(message.contains(&format!("the Secret {SECRET}, which {STORE}")), "{type_}: {message}");
        assert!(message.contains(&format!("create the Secret {SECRET}")), "{type_}: {message}");
    }
    assert_eq!(condition(&job, STALLED).status, ConditionStatus::True);

    let values = json!({ "accessKeyId": key_id, "secretAccessKey": key, "region": "us-east-1", "endpoint": server.url() });
    let secret = namespace.create_object::<Secret>(json!({ "metadata": { "name": SECRET }, "stringData": values })).await;
    let page = page_of_the_trainer(&namespace.api()).await;
    let job = state(&jobs, reason::COMPLETE).await;
    assert_eq!(condition(&job, STALLED).status, ConditionStatus::False);
    all_is_in_the_store(&server, &namespace, &job).await;

    let canaries = Canaries::of(&secret, &["accessKeyId", "secretAccessKey"]);
    canaries.are_not_in("the trainer's metrics", &page, metric::STEP.name);
    canaries.are_not_in_objects::<FineTuneJob>(&namespace, SECRET).await;
    canaries.are_not_in_objects::<ModelVersion>(&namespace, STORE).await;
    canaries.are_not_in_objects::<Event>(&namespace, SECRET).await;
    canaries.are_not_in_objects::<ConfigMap>(&namespace, SECRET).await;
    canaries.are_not_in_objects::<Job>(&namespace, SECRET).await;
    canaries.are_not_in_objects::<Pod>(&namespace, SECRET).await;
    no_pod_of_the_job_tells(&canaries, &namespace).await;
    no_file_of_the_job_tells(&canaries, &nodes, &namespace).await;
    no_operator_tells(&canaries, &nodes).await;
}

/// Puts the model and the rows into a new bucket, as somebody else's tool would.
fn fill(server: &Server) {
    let files = tiny_model::files().into_iter().map(|(name, content)| (format!("base/{name}"), content));
    let objects: Vec<_> = files.chain([("data/rows.jsonl".to_owned(), tiny_model::rows())]).collect();
    server.let_in(1 + objects.len());
    server.must("PUT", &format!("/{BUCKET}"), S3_SIGNED, b"");
    let headers = format!("{S3_SIGNED}Content-Type: application/octet-stream\r\n");
    for (key, content) in &objects {
        server.must("PUT", &format!("/{BUCKET}/{key}"), &headers, content);
    }
    let (status, text) = list(server);
    assert_eq!(status, 403, "a server that does not check keys shows nothing about keys: {text}");
}

fn list(server: &Server) -> (u16, String) {
    server.request("GET", &format!("/{BUCKET}?list-type=2"), S3_SIGNED, b"")
}

async fn state(jobs: &Api<FineTuneJob>, word: &str) -> FineTuneJob {
    wait::until_within(PATIENCE, jobs, NAME, &format!("{word} (Ready's reason)"), |job| ready_reason(job) == word).await
}

/// What the trainer serves while it runs.
async fn page_of_the_trainer(pods: &Api<Pod>) -> String {
    let trainers = ListParams::default().labels(&format!("{}={NAME},{}=train", label::JOB_NAME, label::STAGE));
    wait::eventually(PATIENCE, "the trainer shows its metrics", async || {
        let found = pods.list(&trainers).await.map_err(|error| error.to_string())?.items;
        let pod = found.first().ok_or("there is no trainer")?;
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        assert_ne!(phase, Some("Succeeded"), "it was done before its metrics were read; give it more steps");
        let address = address(pod, METRICS_PORT).ok_or("it has no address")?;
        Ok(http::get(address, "/metrics").await?.text)
    })
    .await
}

fn address(pod: &Pod, port: u16) -> Option<SocketAddr> {
    let address: IpAddr = pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    Some(SocketAddr::new(address, port))
}

/// Checkpoints and the model are where the spec wants them, and where status and registry say that they are.
async fn all_is_in_the_store(server: &Server, namespace: &Namespace, job: &FineTuneJob) {
    let run = format!("{NAME}-{}", &job.uid().unwrap()[..8]);
    let checkpoint = format!("checkpoints/{run}/{}/{}", layout::attempt_folder(0), layout::step_folder(STEPS));
    let status = job.status.clone().unwrap();
    assert_eq!(status.checkpoint.map(|checkpoint| checkpoint.uri), Some(format!("{STORE}{checkpoint}")));
    let model_uri = format!("{STORE}models/{run}");
    assert_eq!(status.model_version.map(|version| version.uri).as_ref(), Some(&model_uri));
    let version = namespace.api::<ModelVersion>().get(&format!("{NAME}-v1")).await.unwrap();
    assert_eq!(version.spec.uri, model_uri);

    server.let_in(1);
    let (status, listed) = list(server);
    let manifest = format!("{checkpoint}/{}", layout::CHECKPOINT_MANIFEST);
    for key in [manifest, format!("models/{run}/adapter_model.safetensors"), format!("models/{run}/temper-manifest.json")] {
        assert!(listed.contains(&format!("<Key>{key}</Key>")), "{status}: there is no {key} in {listed}");
    }
}

async fn no_pod_of_the_job_tells(canaries: &Canaries, namespace: &Namespace) {
    let pods = namespace.api::<Pod>();
    let mut stages = BTreeSet::new();
    for pod in pods.list(&ListParams::default()).await.unwrap().items {
        let log = canary::log(&pods, &pod).await.unwrap();
        canaries.are_not_in(&format!("the log of {}", pod.name_any()), &log, STORE);
        stages.extend(pod.labels().get(label::STAGE).cloned());
    }
    assert_eq!(stages, BTreeSet::from(["prepare", "train", "publish"].map(str::to_owned)));
}

/// Nor what it leaves on its own claim: inputs, caches, checkpoints, reports.
async fn no_file_of_the_job_tells(canaries: &Canaries, nodes: &Nodes, namespace: &Namespace) {
    let claim = namespace.api::<PersistentVolumeClaim>().get(&format!("{NAME}-run")).await.unwrap();
    let volume = claim.spec.and_then(|spec| spec.volume_name).expect("the job's pods have used it");
    canaries.are_not_in("the job's claim", &canary::files_below(&nodes.folder_of_volume(&volume)), STORE);
}

async fn no_operator_tells(canaries: &Canaries, nodes: &Nodes) {
    const FIRST_WORDS: &str = "temper-operator starts";
    const METRIC: &str = "temper_operator_build_info";
    let pods = Api::<Pod>::namespaced(nodes.admin().await, release::NAMESPACE);
    // Other tests kill operators: one that has just started has said nothing yet.
    let told = wait::eventually(PATIENCE, "every operator shows its log and its metrics", async || {
        let mut told = Vec::new();
        for pod in release::pods(nodes).await {
            let log = canary::log(&pods, &pod).await?;
            let address = address(&pod, OPERATOR_PORT).ok_or_else(|| format!("{} has no address", pod.name_any()))?;
            let page = http::get(address, "/metrics").await?.text;
            if !log.contains(FIRST_WORDS) || !page.contains(METRIC) {
                return Err(format!("{}:\n{log}\n{page}", pod.name_any()));
            }
            told.push((pod.name_any(), log, page));
        }
        if told.is_empty() { Err("there is none".to_owned()) } else { Ok(told) }
    })
    .await;
    for (name, log, page) in told {
        canaries.are_not_in(&format!("the log of {name}"), &log, FIRST_WORDS);
        canaries.are_not_in(&format!("the metrics of {name}"), &page, METRIC);
    }
}
