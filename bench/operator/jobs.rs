//! The job that is measured, and the metrics of its played pods.

use jiff::Timestamp;
use serde_json::{Value, json};
use temper_contract::metric;

/// Nodes of its training.
pub(crate) const NODES: usize = 2;

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
