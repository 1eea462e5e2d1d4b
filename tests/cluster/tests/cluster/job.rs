//! A LoRA job of SmolLM2 on two nodes of two processes each, and the claims that hold its model and its rows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use temper_cluster_tests::ran::run;
use temper_cluster_tests::{Namespace, Nodes, binaries, wait};
use temper_contract::{Event, layout};
use temper_crds::{Condition, FineTuneJob, ModelVersion, label};

use crate::reference::Model;

/// The job's name, and its model's.
pub(crate) const NAME: &str = "listings";
/// Its optimizer steps.
pub(crate) const STEPS: u64 = 32;
/// A checkpoint is saved every so many.
pub(crate) const SAVE_STEPS: u64 = 4;
/// Its rows.
const ROWS: &str = "240";
/// Four ranks share two cores with a cluster: steps take a second, and what goes before them several.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The job. What a node's pod asks for decides where it is placed, and nothing else.
pub(crate) fn manifest(cpu_request: &str) -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": NAME },
        "spec": {
            "baseModel": { "storageUri": format!("pvc://models/{}", file_name(&smollm2())) },
            "dataset": {
                "storageUri": "pvc://datasets/listings.jsonl", "format": "messages", "validation": { "split": "0.02" },
                "maxLength": 128, "excessLengthStrategy": "truncate", "filters": { "maxRejectedFraction": "0.1" },
            },
            "method": { "type": "lora", "lora": { "r": 8, "loraAlpha": 16, "loraDropout": "0.05", "targetModules": ["all-linear"] } },
            "hyperparameters": { "maxSteps": STEPS, "perDeviceTrainBatchSize": 1, "learningRate": "1e-3", "precision": "bf16", "seed": 42 },
            "evaluation": { "evalSteps": 16 },
            "trainer": {
                "numNodes": 2, "numProcPerNode": 2,
                "resourcesPerNode": { "requests": { "cpu": cpu_request, "memory": "1Gi" }, "limits": { "cpu": "2", "memory": "4Gi" } },
            },
            "checkpoint": { "storageUri": "pvc://runs/checkpoints", "saveSteps": SAVE_STEPS },
            "output": { "storageUri": "pvc://runs/output", "register": { "modelName": NAME, "stage": "Staging" } },
        },
    })
}

/// The base model's file.
///
/// # Panics
/// When nothing says where it is.
pub(crate) fn smollm2() -> PathBuf {
    std::env::var_os("TEMPER_SMOLLM2").expect("TEMPER_SMOLLM2 says where the model is; run: make test-cluster").into()
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a file has a name").to_string_lossy().into_owned()
}

/// Makes the claim that holds the base model.
///
/// # Panics
/// When the API server refuses it, or the model cannot be copied.
pub(crate) async fn fill_models(nodes: &Nodes, namespace: &Namespace) {
    fill_with_model(&nodes.claim(namespace, "models").await);
}

/// Puts the base model into a claim's folder.
///
/// # Panics
/// When it cannot be copied.
pub(crate) fn fill_with_model(folder: &Path) {
    std::fs::copy(smollm2(), folder.join(file_name(&smollm2()))).unwrap();
}

/// Writes the job's rows into a folder; always the same.
///
/// # Panics
/// When they cannot be written.
pub(crate) fn write_rows(folder: &Path) {
    let mut command = Command::new(binaries::ours("temper-sample-listings"));
    command.arg(folder).args(["--rows", ROWS, "--prompts", "1"]);
    run(command, "").succeeded("temper-sample-listings");
}

/// The job in a namespace of its own.
pub(crate) struct Place {
    pub(crate) namespace: Namespace,
    runs: PathBuf,
    uid: String,
}

impl Place {
    /// Makes the claims, fills them and creates the job.
    ///
    /// # Panics
    /// When the API server refuses something.
    pub(crate) async fn create(nodes: &Nodes, purpose: &str, cpu_request: &str) -> Self {
        let namespace = nodes.namespace(purpose).await;
        fill_models(nodes, &namespace).await;
        write_rows(&nodes.claim(&namespace, "datasets").await);
        let runs = nodes.claim(&namespace, "runs").await;
        let job: FineTuneJob = namespace.create_object(manifest(cpu_request)).await;
        Self { namespace, runs, uid: job.uid().unwrap() }
    }

    pub(crate) fn jobs(&self) -> Api<FineTuneJob> {
        self.namespace.api()
    }

    /// Waits until the job is in this state, which is Ready's reason.
    pub(crate) async fn state(&self, word: &str) -> FineTuneJob {
        wait::until_within(PATIENCE, &self.jobs(), NAME, &format!("{word} (Ready's reason)"), |job| ready_reason(job) == word).await
    }

    /// The training pods that are there, by their nodes' numbers.
    pub(crate) async fn trainers(&self, attempt: Option<u64>) -> Vec<Pod> {
        let mut selector = format!("{}={NAME},{}=train", label::JOB_NAME, label::STAGE);
        if let Some(attempt) = attempt {
            selector += &format!(",{}={attempt}", label::ATTEMPT);
        }
        let mut pods = self.namespace.api::<Pod>().list(&ListParams::default().labels(&selector)).await.unwrap().items;
        pods.sort_by_key(|pod| pod.annotations().get("batch.kubernetes.io/job-completion-index").cloned());
        pods
    }

    /// Waits until both pods of an attempt run.
    pub(crate) async fn running(&self, attempt: u64) -> Vec<Pod> {
        wait::eventually(PATIENCE, &format!("attempt {attempt} runs"), async || {
            let pods = self.trainers(Some(attempt)).await;
            let phases: Vec<_> = pods.iter().map(|pod| pod.status.as_ref().and_then(|status| status.phase.as_deref())).collect();
            if phases == [Some("Running"); 2] { Ok(pods) } else { Err(format!("{phases:?}; the job is {}", self.told().await)) }
        })
        .await
    }

    /// Waits until an attempt's ranks have met, and returns the step that they go on from.
    pub(crate) async fn resumed_from(&self, attempt: u64) -> u64 {
        wait::eventually(PATIENCE, &format!("attempt {attempt} has started"), async || {
            let pods = self.trainers(Some(attempt)).await;
            let first = pods.first().ok_or("it has no pods")?;
            let log =
                self.namespace.api::<Pod>().logs(&first.name_any(), &LogParams::default()).await.map_err(|error| error.to_string())?;
            let started = log.lines().find_map(|line| match Event::from_line(line)? {
                Event::Started { resumed_from_step, .. } => Some(resumed_from_step),
                _ => None,
            });
            started.ok_or(log)
        })
        .await
    }

    /// Waits until an attempt has a checkpoint of this step or a later one, and returns the newest one's step.
    pub(crate) async fn checkpoint(&self, attempt: u64, step: u64) -> u64 {
        let checkpoints = self.runs.join("checkpoints").join(self.run_name()).join(layout::CHECKPOINTS);
        let folder = checkpoints.join(layout::attempt_folder(attempt));
        wait::eventually(PATIENCE, &format!("attempt {attempt} has saved step {step}"), async || {
            let newest =
                (step..=STEPS).rev().find(|step| folder.join(layout::step_folder(*step)).join(layout::CHECKPOINT_MANIFEST).exists());
            match newest {
                Some(newest) => Ok(newest),
                None => Err(format!("there is none in {}; the job is {}", folder.display(), self.told().await)),
            }
        })
        .await
    }

    /// What the job has published and registered.
    pub(crate) async fn model(&self) -> Model {
        let version = self.namespace.api::<ModelVersion>().get(&format!("{NAME}-v1")).await.unwrap();
        assert_eq!(version.spec.uri, format!("pvc://runs/output/{}", self.run_name()));
        Model::read(&self.runs.join("output").join(self.run_name()), version.spec.digest)
    }

    fn run_name(&self) -> String {
        format!("{NAME}-{}", &self.uid[..8])
    }

    /// The job's state in a line, for messages.
    async fn told(&self) -> String {
        let job = self.jobs().get(NAME).await.unwrap();
        let ready = job.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == "Ready");
        ready.map_or_else(|| "not looked at yet".to_owned(), |ready| format!("{}: {}", ready.reason, ready.message))
    }
}

/// What the job is doing, in a word.
pub(crate) fn ready_reason(job: &FineTuneJob) -> &str {
    let ready = job.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == "Ready");
    ready.map_or("", |ready| ready.reason.as_str())
}

/// One of the job's conditions.
///
/// # Panics
/// When it is not there.
pub(crate) fn condition<'a>(job: &'a FineTuneJob, type_: &str) -> &'a Condition {
    let mut conditions = job.status.iter().flat_map(|status| &status.conditions);
    conditions.find(|condition| condition.type_ == type_).unwrap_or_else(|| panic!("the job has no condition {type_}"))
}
