//! What a validated job becomes: the trainer's configuration and the job's identity.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use temper_crds::FineTuneJob;
use temper_planner::identity::spec_digest;
use temper_planner::{Capabilities, Folders, ValidatedFineTuneJob, trainer_config, validate};

fn job(patch: &[(&str, Value)]) -> ValidatedFineTuneJob {
    let mut job = json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": "tiny" },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny" },
            "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "messages", "validation": { "split": "0.05" } },
            "method": { "type": "lora", "lora": {} },
            "hyperparameters": { "maxSteps": 60 },
            "trainer": {},
        },
    });
    for (pointer, value) in patch {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        job.pointer_mut(parent).expect("the parent is there")[name] = value.clone();
    }
    let job: FineTuneJob = serde_json::from_value(job).expect("a job");
    validate(&job, Capabilities::LOCAL_CPU).expect("a valid job")
}

#[test]
fn the_trainer_reads_what_the_user_asked_for_and_where_it_is() {
    let folders = Folders {
        run: "/run".into(),
        checkpoints: "/run/checkpoints".into(),
        output: "/run/model".into(),
        base_model: "/models/tiny".into(),
        dataset: "/data/rows.jsonl".into(),
        validation: None,
        secrets: BTreeMap::new(),
        run_name: "tiny-1".to_owned(),
    };
    let patch = [
        ("/spec/hyperparameters/gradientAccumulationSteps", json!(4)),
        ("/spec/trainer/numProcPerNode", json!(2)),
        ("/spec/trainer/resourcesPerNode", json!({ "limits": { "cpu": "4" } })),
    ];
    let config = serde_json::to_value(trainer_config(&job(&patch), &folders)).expect("plain data");
    let wanted = json!({
        "jobName": "tiny",
        "runFolder": "/run", "checkpointFolder": "/run/checkpoints", "outputFolder": "/run/model",
        "baseModel": { "path": "/models/tiny", "uri": "pvc://models/tiny" },
        "dataset": {
            "path": "/data/rows.jsonl", "format": "messages", "validation": { "split": 0.05 }, "chatTemplate": "tokenizerDefault",
            "maxLength": 1024, "excessLengthStrategy": "truncate", "packing": false, "seed": 42,
            "filters": {
                "minLength": null, "maxLength": null, "exactDeduplication": false, "includePattern": null, "excludePattern": null,
                "maxRejectedFraction": 0.1,
            },
        },
        "method": { "lora": { "r": 16, "loraAlpha": 32.0, "loraDropout": 0.0, "targetModules": ["all-linear"], "useRslora": false } },
        "hyperparameters": {
            "numTrainEpochs": 1.0, "maxSteps": 60, "perDeviceTrainBatchSize": 8, "learningRate": 0.0002, "lrSchedulerType": "linear",
            "warmupSteps": 0, "weightDecay": 0.0, "adamBeta1": 0.9, "adamBeta2": 0.999, "adamEpsilon": 1e-8, "maxGradNorm": 1.0,
            "precision": "bf16", "seed": 42,
        },
        "evaluation": { "evalSteps": null, "perDeviceEvalBatchSize": 8, "earlyStoppingPatience": null },
        "parallelism": { "numNodes": 1, "numProcPerNode": 2, "threadsPerProc": 2, "microBatchesPerStep": 8, "device": "cpu" },
        "checkpoint": { "saveSteps": 500, "saveTotalLimit": 3 },
        "failure": {
            "maxRestarts": 3, "heartbeatTimeoutSeconds": 10, "stallTimeoutSeconds": 900, "maxNonFiniteSteps": 10,
            "rendezvousTimeoutSeconds": 300,
        },
        "output": { "mergeAdapter": false },
    });
    assert_eq!(config, wanted);
}

#[test]
fn held_out_rows_of_their_own_are_a_path() {
    let folders = Folders {
        run: "/run".into(),
        checkpoints: "/c".into(),
        output: "/o".into(),
        base_model: "/m".into(),
        dataset: "/d".into(),
        validation: Some("/v".into()),
        secrets: BTreeMap::new(),
        run_name: "tiny-1".to_owned(),
    };
    let job = job(&[("/spec/dataset/validation", json!({ "storageUri": "pvc://data/held-out.jsonl" }))]);
    assert_eq!(trainer_config(&job, &folders).dataset.validation, Some(temper_contract::config::Validation::Path("/v".into())));
}

#[test]
fn what_lies_elsewhere_comes_with_its_credentials_and_goes_to_a_folder_of_the_jobs_own() {
    let folders = Folders {
        run: "/run".into(),
        checkpoints: "/run/checkpoints".into(),
        output: "/run/model".into(),
        base_model: "/run/inputs/base-model".into(),
        dataset: "/data/rows.jsonl".into(),
        validation: None,
        secrets: [("token".to_owned(), "/secrets/token".into())].into(),
        run_name: "tiny-1".to_owned(),
    };
    let job = job(&[
        ("/spec/baseModel", json!({ "storageUri": "hf://owner/name", "revision": "v1", "secretRef": { "name": "token" } })),
        ("/spec/checkpoint", json!({ "storageUri": "s3://bucket/checkpoints/" })),
        ("/spec/output", json!({ "storageUri": "gs://bucket/models" })),
    ]);
    let config = serde_json::to_value(trainer_config(&job, &folders)).expect("plain data");
    let token = json!({ "secret": "token", "folder": "/secrets/token" });
    let model = json!({ "uri": "hf://owner/name", "revision": "v1", "credentials": token });
    assert_eq!((&config["baseModel"]["fetch"], &config["dataset"]["fetch"]), (&model, &Value::Null));
    assert_eq!(config["checkpoint"]["mirror"], json!({ "uri": "s3://bucket/checkpoints/tiny-1" }));
    assert_eq!(config["output"]["upload"], json!({ "uri": "gs://bucket/models/tiny-1" }));
}

#[test]
fn writing_out_a_default_or_holding_a_job_leaves_it_the_same_job() {
    let digest = spec_digest(&job(&[]));
    assert!(digest.len() == 71 && digest.starts_with("sha256:"));
    let same = [
        ("/metadata/name", json!("other")),
        ("/metadata/generation", json!(7)),
        ("/spec/ttlSecondsAfterFinished", json!(60)),
        ("/spec/hyperparameters/seed", json!(42)),
        ("/spec/hyperparameters/learningRate", json!("0.0002")),
        ("/spec/method/lora", json!({ "r": 16, "loraAlpha": 32, "loraDropout": "0", "targetModules": ["all-linear"] })),
        ("/spec/failurePolicy", json!({ "maxRestarts": 3 })),
        ("/spec/evaluation", json!({})),
    ];
    for change in same {
        assert_eq!(spec_digest(&job(std::slice::from_ref(&change))), digest, "{change:?}");
    }
}

#[test]
fn whatever_changes_the_result_makes_another_job() {
    let digest = spec_digest(&job(&[]));
    let other = [
        ("/spec/baseModel/storageUri", json!("pvc://models/other")),
        ("/spec/dataset/storageUri", json!("pvc://data/other.jsonl")),
        ("/spec/dataset/maxLength", json!(512)),
        ("/spec/dataset/validation/split", json!("0.1")),
        ("/spec/method/lora", json!({ "r": 8 })),
        ("/spec/hyperparameters/maxSteps", json!(61)),
        ("/spec/hyperparameters/gradientAccumulationSteps", json!(2)),
        ("/spec/hyperparameters/seed", json!(43)),
        ("/spec/trainer/numProcPerNode", json!(2)),
        ("/spec/trainer/env", json!([{ "name": "GLOO_X", "value": "1" }])),
        ("/spec/output", json!({ "mergeAdapter": true })),
        ("/spec/output", json!({ "register": { "modelName": "tiny" } })),
    ];
    for change in other {
        assert_ne!(spec_digest(&job(std::slice::from_ref(&change))), digest, "{change:?}");
    }
}
