//! `deploy/samples` as README.md has a new user apply them, and the job held and resized on its way.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::ListParams;
use serde_json::{Value, json};
use temper_cluster_tests::edit::with;
use temper_cluster_tests::{Namespace, Nodes, wait};
use temper_contract::env;
use temper_crds::condition::reason;
use temper_crds::finetunejob::attempts::{AttemptEnd, AttemptStatus, StageName, StopCause};
use temper_crds::modelversion::Stage;
use temper_crds::{FineTuneJob, ModelVersion, label};

use crate::job::{PATIENCE, fill_with_model, ready_reason, write_rows};
use crate::release;

/// The sample's name, and its model's.
const NAME: &str = "listings";
/// Fewer steps than the sample has, and a checkpoint after each second one: other tests have the machine too.
const STEPS: u64 = 8;
const SAVE_STEPS: u64 = 2;

#[tokio::test]
async fn the_sample_job_on_the_samples_claims_is_held_resized_and_completes() {
    let nodes = Nodes::around().await;
    release::install(&nodes).await;
    let namespace = nodes.namespace("sample").await;
    apply(&nodes, &namespace, &std::fs::read_to_string(samples().join("cluster/claims.yaml")).unwrap());
    fill_with_model(&folder_of(&nodes, &namespace, "models").await);
    write_rows(&folder_of(&nodes, &namespace, "datasets").await);
    apply(&nodes, &namespace, &the_job().to_string());

    let jobs = namespace.api::<FineTuneJob>();
    let saved = |job: &FineTuneJob| job.status.as_ref().and_then(|status| status.checkpoint.as_ref()).map(|saved| saved.step);
    wait::until_within(PATIENCE, &jobs, NAME, "saved", |job| saved(job) >= Some(SAVE_STEPS)).await;
    patch(&nodes, &namespace, &json!({ "suspend": true }));
    let is_held = |job: &FineTuneJob| ready_reason(job) == reason::SUSPENDED;
    let held = wait::until_within(PATIENCE, &jobs, NAME, "held", is_held).await;
    assert!(saved(&held) < Some(STEPS), "it was done before it was held; give it more steps");
    patch(&nodes, &namespace, &json!({ "trainer": { "numProcPerNode": 1 } }));
    patch(&nodes, &namespace, &json!({ "suspend": false }));

    let job = wait::until_within(PATIENCE, &jobs, NAME, "complete", |job| ready_reason(job) == reason::COMPLETE).await;
    let status = job.status.unwrap();
    assert_eq!(status.result.map(|result| result.step), Some(STEPS));
    assert_eq!(status.restarts, 0, "{:?}", status.last_failure);
    let trained = status.attempts.iter().filter(|attempt| attempt.stage == StageName::Train);
    let told: Vec<_> = trained.map(|attempt: &AttemptStatus| (attempt.stop, attempt.end == Some(AttemptEnd::Succeeded))).collect();
    assert_eq!(told, [(Some(StopCause::Suspended), false), (None, true)]);
    assert_eq!(world_size(&namespace, 1).await.as_deref(), Some("1"), "it was resized");

    let version = namespace.api::<ModelVersion>().get(&format!("{NAME}-v1")).await.unwrap();
    assert_eq!(version.spec.stage, Stage::Staging);
    let table = nodes.kubectl(&["-n", namespace.name(), "get", "ftj"], "").succeeded("kubectl get ftj");
    let row = table.lines().find(|line| line.starts_with(NAME)).unwrap_or_else(|| panic!("no row of {NAME} in:\n{table}"));
    assert!(row.contains("Complete") && row.contains(&STEPS.to_string()), "{table}");
}

/// The sample, with fewer steps, and asking for a share of a node that other tests' jobs leave.
fn the_job() -> Value {
    let path = samples().join("finetunejob.yaml");
    let sample: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let changes = [
        ("/spec/hyperparameters/maxSteps", json!(STEPS)),
        ("/spec/hyperparameters/warmupSteps", json!(1)),
        ("/spec/evaluation/evalSteps", json!(STEPS / 2)),
        ("/spec/checkpoint/saveSteps", json!(SAVE_STEPS)),
        ("/spec/trainer/resourcesPerNode/requests/cpu", json!("200m")),
    ];
    changes.into_iter().fold(sample, |job, (field, value)| {
        assert!(job.pointer(field).is_some(), "{} has no {field}", path.display());
        with(&job, field, value)
    })
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples")
}

fn apply(nodes: &Nodes, namespace: &Namespace, manifest: &str) {
    nodes.kubectl(&["-n", namespace.name(), "apply", "-f", "-"], manifest).succeeded("kubectl apply");
}

/// Changes the job's spec as a person does.
fn patch(nodes: &Nodes, namespace: &Namespace, spec: &Value) {
    let patch = json!({ "spec": spec }).to_string();
    let arguments = ["-n", namespace.name(), "patch", "ftj", NAME, "--type", "merge", "-p", &patch];
    nodes.kubectl(&arguments, "").succeeded("kubectl patch ftj");
}

/// The folder of this machine behind a claim of the sample.
async fn folder_of(nodes: &Nodes, namespace: &Namespace, claim: &str) -> PathBuf {
    let volume = |claim: &PersistentVolumeClaim| claim.spec.as_ref().and_then(|spec| spec.volume_name.clone());
    let bound = wait::until_within(PATIENCE, &namespace.api(), claim, "bound", |claim| volume(claim).is_some()).await;
    nodes.folder_of_volume(&volume(&bound).unwrap_or_default())
}

/// The ranks that an attempt's first pod was told of.
async fn world_size(namespace: &Namespace, attempt: u64) -> Option<String> {
    let labels = format!("{}={NAME},{}=train,{}={attempt}", label::JOB_NAME, label::STAGE, label::ATTEMPT);
    let pods = namespace.api::<Pod>().list(&ListParams::default().labels(&labels)).await.unwrap().items;
    let container = pods.first()?.spec.as_ref()?.containers.first()?;
    container.env.iter().flatten().find(|variable| variable.name == env::WORLD_SIZE)?.value.clone()
}
