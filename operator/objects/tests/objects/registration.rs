//! The registry entry of a finished job.

use crate::example::with;
use serde_json::json;
use temper_contract::report::{ArtifactFormat, BeforeAfter, DatasetCounts, Parameters, PrepareReport, PublishReport, TrainReport};
use temper_objects::model_version;

#[test]
fn a_version_says_what_it_is_where_it_lies_and_what_made_it() {
    let example = with(&[("output", json!({ "storageUri": "s3://models", "register": { "modelName": "listings", "stage": "Staging" } }))]);
    let parameters = Parameters { total: 10, trainable: 1 };
    let prepared = PrepareReport {
        counts: DatasetCounts::default(),
        digest: "sha256:d".to_owned(),
        chat_template_digest: None,
        base_model_digest: "sha256:b".to_owned(),
        parameters,
        memory_estimate_bytes: 1,
        seconds: 1.0,
    };
    let trained = TrainReport {
        step: 60,
        total_steps: 60,
        reason: "complete".to_owned(),
        checkpoint: "/volumes/tiny-run".to_owned(),
        parameters,
        training_loss: 0.75,
        validation: Some(BeforeAfter { before: 1.0, after: 0.5 }),
        tokens: 1,
        tokens_per_second: 1.0,
        seconds: 1.0,
        evaluation_seconds: 0.0,
        restarts: 0,
        peak_memory_bytes: 1,
    };
    let published = PublishReport {
        path: "/volumes/tiny-run/tiny-0b5e7ac4/output".to_owned(),
        format: ArtifactFormat::PeftAdapter,
        digest: "sha256:p".to_owned(),
        files: [].into(),
    };
    let version = model_version(&example.job, &example.owner, &prepared, Some(&trained), &published, 4);
    let found = serde_json::to_value(version).expect("plain data");
    let wanted = json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {
            "name": "listings-v4", "namespace": "ml",
            "labels": {
                "app.kubernetes.io/managed-by": "temper", "temper.dev/job-name": "tiny", "temper.dev/model-name": "listings",
                "temper.dev/model-version": "4",
            },
        },
        "spec": {
            "modelName": "listings", "version": 4, "uri": "s3://models/tiny-0b5e7ac4", "digest": "sha256:p", "format": "PeftAdapter",
            "baseModel": { "uri": "pvc://models/tiny.gguf", "digest": "sha256:b" },
            "trainingConfig": {
                "learningRate": "0.0002", "loraAlpha": "32", "maxSteps": "60", "microBatchesPerStep": "1", "numTrainEpochs": "1",
                "perDeviceTrainBatchSize": "8", "r": "16", "seed": "42", "targetModules": "all-linear",
            },
            "metrics": { "trainingLoss": "0.75", "validationLoss": "0.5", "validationPerplexity": "1.64872" },
            "sourceRef": { "kind": "FineTuneJob", "name": "tiny", "uid": "0b5e7ac4-5a0d-4f7e-9a34-6f2a7c1d9e55" },
            "stage": "Staging",
        },
    });
    assert_eq!(found, wanted);
}
