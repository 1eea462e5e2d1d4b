//! The job that is measured, and the last words and metrics of its played pods.

use jiff::Timestamp;
use serde_json::{Value, json};
use temper_contract::report::{
    ArtifactFormat, BeforeAfter, DatasetCounts, Parameters, PrepareReport, PublishReport, Rejection, TrainReport,
};
use temper_contract::{StageReport, metric};

/// Nodes of its training.
pub(crate) const NODES: usize = 2;
const PARAMETERS: Parameters = Parameters { total: 139_399_488, trainable: 4_884_480 };

/// A job on two nodes that names no claim for its checkpoints and registers its model: the one that takes the most writes.
pub(crate) fn manifest(name: &str) -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": name },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny" },
            "dataset": { "storageUri": "pvc://datasets/rows.jsonl", "format": "text" },
            "method": { "type": "lora", "lora": {} },
            "hyperparameters": { "maxSteps": 60 },
            "trainer": { "numNodes": NODES, "numProcPerNode": 2, "resourcesPerNode": { "limits": { "cpu": "2" } } },
            "checkpoint": { "saveSteps": 10 },
            "output": { "register": { "modelName": name, "stage": "Staging" } },
        },
    })
}

/// What `prepare` leaves.
pub(crate) fn prepared() -> String {
    let rejection = Rejection { count: 3, first: vec!["rows.jsonl:7".to_owned()] };
    let counts = DatasetCounts {
        rows: 103,
        accepted: 98,
        validation: 2,
        rejected: [("tooShort".to_owned(), rejection)].into(),
        tokens: 9000,
        ..DatasetCounts::default()
    };
    StageReport::Prepared(PrepareReport {
        counts,
        digest: digest(1),
        chat_template_digest: Some(digest(2)),
        base_model_digest: digest(3),
        parameters: PARAMETERS,
        memory_estimate_bytes: 1 << 30,
        seconds: 2.0,
    })
    .to_json()
}

/// What node 0 of a training leaves.
pub(crate) fn trained() -> String {
    StageReport::Trained(TrainReport {
        step: 60,
        total_steps: 60,
        reason: "complete".to_owned(),
        checkpoint: "/volumes/run/checkpoints".to_owned(),
        parameters: PARAMETERS,
        training_loss: 0.5,
        validation: Some(BeforeAfter { before: 2.4, after: 0.04 }),
        tokens: 100_000,
        tokens_per_second: 450.0,
        seconds: 222.0,
        evaluation_seconds: 12.0,
        restarts: 0,
        peak_memory_bytes: 1 << 30,
    })
    .to_json()
}

/// What `publish` leaves.
pub(crate) fn published() -> String {
    StageReport::Published(PublishReport {
        path: "/volumes/run/output".to_owned(),
        format: ArtifactFormat::PeftAdapter,
        digest: digest(4),
        files: [("adapter_config.json".to_owned(), digest(5)), ("adapter_model.safetensors".to_owned(), digest(6))].into(),
    })
    .to_json()
}

fn digest(of: u8) -> String {
    format!("sha256:{of:064}")
}

/// Rank 0's metrics at a step, as the trainer serves them.
pub(crate) fn metrics(step: u64) -> String {
    let started = Timestamp::now().as_second() - 100;
    let sample = |metric: metric::Metric, value: f64| {
        let metric::Metric { name, help } = metric;
        format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name}{{job_name=\"bench\",rank=\"0\"}} {value}\n")
    };
    [
        sample(metric::STEP, step as f64),
        sample(metric::TOTAL_STEPS, 60.0),
        sample(metric::TRAINING_LOSS, 1.25),
        sample(metric::LEARNING_RATE, 2e-4),
        sample(metric::GRADIENT_NORM, 0.75),
        sample(metric::TOKENS_PER_SECOND, 450.0),
        sample(metric::EPOCH, 0.5),
        sample(metric::STARTED, started as f64),
        sample(metric::RESUMED_FROM_STEP, 0.0),
        sample(metric::CHECKPOINT_STEP, 10.0),
        sample(metric::CHECKPOINT_ATTEMPT, 0.0),
        sample(metric::RESTARTS, 0.0),
    ]
    .concat()
}
