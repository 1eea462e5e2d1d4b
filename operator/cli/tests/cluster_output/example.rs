//! Objects as the operator leaves them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use temper_cli::output::cluster::when::When;
use temper_crds::FineTuneJob;

/// Two hours after the jobs here were made.
pub(crate) fn when() -> When {
    When { now: at("2026-03-02T12:00:00Z"), zone: TimeZone::UTC }
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub(crate) fn condition(type_: &str, status: &str, time: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": type_, "status": status, "lastTransitionTime": format!("2026-03-02T{time}Z"), "reason": reason, "message": message,
        "observedGeneration": 1,
    })
}

/// A job with this status.
pub(crate) fn job(name: &str, status: Value) -> Value {
    let mut job = json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob",
        "metadata": {
            "name": name, "namespace": "ml", "uid": "0b5e7ac4-5a0d-4f7e-9a34-6f2a7c1d9e55", "generation": 1,
            "creationTimestamp": "2026-03-02T10:00:00Z",
        },
        "spec": {
            "baseModel": { "storageUri": "hf://meta-llama/Llama-3.1-8B", "revision": "main", "secretRef": { "name": "hf-token" } },
            "dataset": { "storageUri": "pvc://datasets/listings.jsonl", "format": "messages" },
            "method": { "type": "lora", "lora": { "r": 16, "targetModules": ["q_proj", "v_proj"] } },
            "hyperparameters": { "maxSteps": 600 },
            "trainer": { "numNodes": 2, "numProcPerNode": 4, "resourcesPerNode": { "limits": { "nvidia.com/gpu": 4, "memory": "256Gi" } } },
            "checkpoint": { "storageUri": "pvc://checkpoints/listings" },
        },
    });
    if !status.is_null() {
        job["status"] = status;
    }
    job
}

pub(crate) fn typed(job: Value) -> FineTuneJob {
    serde_json::from_value(job).expect("a job")
}

/// What is known once the data is prepared.
fn prepared(status: &mut Value) {
    status["dataset"] = json!({
        "rows": 2103, "accepted": 2000, "validation": 40, "tokens": 1_234_567,
        "rejected": { "tooShort": 12, "duplicate": 51, "invalidJson": 0 },
    });
    status["parameters"] = json!({ "total": 8_034_242_560u64, "trainable": 3_407_872, "trainablePercent": "0.0424168" });
    status["baseModel"] = json!({ "digest": format!("sha256:{:064}", 3), "memoryEstimateBytes": 20_000_000_000u64 });
}

/// In its second attempt, after a restart in place and a lost machine.
pub(crate) fn training() -> Value {
    let mut status = json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "False", "10:00:01", "Training", "attempt 1 trains on 2 x 4 processes"),
            condition("Reconciling", "True", "10:00:01", "Training", "attempt 1 trains on 2 x 4 processes"),
            condition("Stalled", "False", "10:00:01", "NoFailure", "nothing is in the way"),
            condition("DataReady", "True", "10:04:12", "Prepared", "2103 rows read, 2000 accepted, 63 left out, 1234567 tokens"),
            condition("Running", "True", "11:02:30", "Training", "attempt 1 trains on 2 x 4 processes"),
        ],
        "attempt": 1, "restarts": 2,
        "trainerStatus": {
            "step": 252, "totalSteps": 600, "epoch": "1.26", "progressPercentage": 42,
            "estimatedRemainingSeconds": 750, "estimatedRemaining": "12m30s",
            "metrics": {
                "trainingLoss": "1.2345", "validationLoss": "1.31", "learningRate": "0.0002", "gradientNorm": "0.71",
                "tokensPerSecond": "48123.4", "gpuMemoryBytes": 65_700_000_000u64,
            },
            "lastUpdatedTime": "2026-03-02T11:59:48Z",
        },
        "checkpoint": { "step": 250, "uri": "pvc://checkpoints/listings/listings-0b5e7ac4/checkpoints/attempt-1/step-00000250" },
        "attempts": [
            { "stage": "prepare", "number": 0, "startedAt": "2026-03-02T10:00:01Z", "finishedAt": "2026-03-02T10:04:12Z", "end": "Succeeded", "exitCode": 0 },
            {
                "stage": "train", "number": 0, "startedAt": "2026-03-02T10:04:13Z", "finishedAt": "2026-03-02T11:01:50Z",
                "end": "Interrupted", "pod": "listings-a0-1-x7k2p", "inPlaceRestarts": 1, "message": "the node was lost: gpu-17",
            },
            { "stage": "train", "number": 1, "startedAt": "2026-03-02T11:02:00Z" },
        ],
        "lastFailure": { "pod": "listings-a0-0-b9m4t", "rank": 3, "exitCode": 139, "reason": "Signalled", "message": "a rank was ended by signal 11" },
    });
    prepared(&mut status);
    status
}

/// At its end, with a version in the registry.
pub(crate) fn complete() -> Value {
    let mut status = json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "True", "11:50:00", "Complete", "the model is trained and published"),
            condition("Complete", "True", "11:50:00", "Complete", "the model is trained and published"),
            condition("ModelRegistered", "True", "11:50:00", "Registered", "registered as listings-v4"),
        ],
        "trainerStatus": { "step": 600, "totalSteps": 600, "progressPercentage": 100, "metrics": { "trainingLoss": "0.812" } },
        "attempts": [
            { "stage": "train", "number": 0, "startedAt": "2026-03-02T10:04:13Z", "finishedAt": "2026-03-02T11:40:00Z", "end": "Succeeded", "exitCode": 0 },
        ],
        "result": {
            "step": 600, "reason": "complete", "trainingLoss": "0.812", "validationLossBefore": "2.401", "validationLossAfter": "0.905",
            "tokens": 12_345_678, "tokensPerSecond": "47000", "seconds": 5747, "peakMemoryBytes": 3_221_225_472u64,
        },
        "checkpoint": { "step": 600, "uri": "pvc://checkpoints/listings/x" },
        "modelVersion": { "name": "listings-v4", "version": 4, "uri": "s3://models/listings/listings-0b5e7ac4", "digest": format!("sha256:{:064}", 4) },
        "cost": { "gpuHours": "12.8", "total": "38.4", "currency": "EUR" },
    });
    prepared(&mut status);
    status
}

/// Over for good.
pub(crate) fn failed(word: &str, message: &str) -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "False", "10:00:01", word, message),
            condition("Stalled", "True", "10:30:00", word, message),
            condition("Failed", "True", "10:30:00", word, message),
        ],
        "attempts": [{
            "stage": "train", "number": 3, "startedAt": "2026-03-02T10:20:00Z", "finishedAt": "2026-03-02T10:30:00Z", "end": "Exited",
            "exitCode": 13, "pod": "listings-a3-0-x", "rank": 5, "message": "rank 5 lost its peers",
        }],
        "restarts": 3,
    })
}

/// In need of somebody.
pub(crate) fn stalled(word: &str, message: &str) -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "False", "10:00:01", word, message),
            condition("Stalled", "True", "10:01:00", word, message),
        ],
    })
}

/// Held.
pub(crate) fn suspended() -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "False", "10:00:01", "Suspended", "spec.suspend is true; set it to false to go on from the last checkpoint"),
            condition("Suspended", "True", "10:30:00", "Suspended", "spec.suspend is true; set it to false to go on from the last checkpoint"),
        ],
        "checkpoint": { "step": 120, "uri": "pvc://checkpoints/x" },
        "trainerStatus": { "step": 120, "totalSteps": 600, "progressPercentage": 20 },
    })
}

pub(crate) fn version() -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {
            "name": "listings-v4", "namespace": "ml", "creationTimestamp": "2026-03-01T12:00:00Z",
            "annotations": { "temper.dev/stage-changed-by": "ana" },
        },
        "spec": {
            "modelName": "listings", "version": 4, "uri": "s3://models/listings/listings-0b5e7ac4", "digest": format!("sha256:{:064}", 4),
            "format": "PeftAdapter", "baseModel": { "uri": "hf://meta-llama/Llama-3.1-8B", "digest": format!("sha256:{:064}", 3) },
            "trainingConfig": { "learningRate": "2e-4", "maxSteps": "600" },
            "metrics": { "validationLoss": "0.905", "validationPerplexity": "2.472" },
            "sourceRef": { "kind": "FineTuneJob", "name": "listings", "uid": "0b5e7ac4" },
            "stage": "Production",
        },
        "status": {
            "history": [
                { "stage": "Staging", "from": "2026-03-01T12:00:00Z", "to": "2026-03-02T09:00:00Z", "by": "operator" },
                { "stage": "Production", "from": "2026-03-02T09:00:00Z", "by": "ana" },
            ],
        },
    })
}
