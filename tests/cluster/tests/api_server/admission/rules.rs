//! Each CEL rule refuses what it is for, with its sentence and nothing else.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use temper_cluster_tests::Namespace;
use temper_cluster_tests::edit::with;
use temper_crds::crd;

use super::subject::Subject;

/// A valid job that trains from and to claims.
pub(super) fn job() -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": "tiny" },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny" },
            "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text", "validation": { "split": "0.1" } },
            "method": { "type": "lora", "lora": { "r": 8 } },
            "hyperparameters": { "maxSteps": 10, "learningRate": "2e-4" },
            "trainer": { "env": [{ "name": "NCCL_DEBUG", "value": "INFO" }], "resourcesPerNode": { "limits": { "cpu": 2 } } },
            "cost": { "maxCost": "200" },
        },
    })
}

/// A valid model version.
pub(super) fn version() -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "ModelVersion", "metadata": { "name": "tiny-v1" },
        "spec": {
            "modelName": "tiny", "version": 1, "uri": "pvc://models/tiny/1", "digest": format!("sha256:{}", "0".repeat(64)),
            "format": "PeftAdapter", "baseModel": { "uri": "pvc://models/tiny" }, "metrics": { "validationLoss": "1.5" },
        },
    })
}

/// Several fields of one object changed, and the sentence that refuses them.
type Case = (&'static [(&'static str, &'static str)], &'static str);

/// Fields as JSON pointers below `/spec` (or from the root, with two slashes), values as JSON.
const JOB_CASES: &[Case] = &[
    (&[("//metadata/name", r#""aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa""#)], "at most 48 characters"),
    (&[("//metadata/name", r#""a.b""#)], "no dots"),
    (&[("baseModel/revision", r#""main""#)], "revision is for hf:// models only"),
    (&[("dataset/validation/storageUri", r#""pvc://data/held-out.jsonl""#)], "exactly one of split"),
    (&[("dataset/validation/split", "null")], "exactly one of split"),
    (&[("dataset/validation/split", r#""1.0""#)], "between 0 and 1"),
    (&[("dataset/filters", r#"{"minLength": 9, "maxLength": 8}"#)], "minLength must not be greater"),
    (&[("dataset/filters/maxRejectedFraction", r#""1.5""#)], "from 0.0 to 1.0"),
    (&[("dataset/filters/nearDeduplication", r#"{"threshold": "0"}"#)], "above 0 and at most 1.0"),
    (&[("dataset/filters/repetition", r#"{"maxFraction": "2"}"#)], "from 0.0 to 1.0"),
    (&[("method/lora", "null")], "lora is required when type is lora"),
    (&[("method/type", r#""full""#)], "not allowed when type is full"),
    (&[("method/lora/loraDropout", r#""1""#)], "not including, 1"),
    (&[("hyperparameters/maxSteps", "null")], "say how long to train"),
    (&[("hyperparameters/learningRate", r#""0""#)], "above 0 and at most 10.0"),
    (&[("hyperparameters/learningRate", r#""-1e-4""#)], "above 0 and at most 10.0"),
    (&[("hyperparameters/weightDecay", r#""1.5""#)], "from 0.0 to 1.0"),
    (&[("hyperparameters/adamBeta1", r#""1""#)], "not including, 1"),
    (&[("hyperparameters/adamBeta2", r#""1""#)], "not including, 1"),
    (&[("hyperparameters/adamEpsilon", r#""0""#)], "above 0 and at most 1.0"),
    (&[("hyperparameters/maxGradNorm", r#""-1""#)], "from 0.0 to 1e6"),
    (&[("evaluation/earlyStoppingPatience", "2")], "set evalSteps too"),
    (&[("dataset/validation", "null"), ("evaluation/evalSteps", "5")], "evalSteps needs held-out rows"),
    (&[("trainer/env/0/name", r#""LD_PRELOAD""#)], "only variables that tune libraries"),
    (&[("trainer/env/0/name", r#""OMP_NUM_THREADS""#)], "limits.cpu"),
    (&[("method", r#"{"type": "full"}"#), ("output/mergeAdapter", "true")], "mergeAdapter needs an adapter"),
    (&[("tracking", "{}")], "name a tracker"),
    (&[("cost/maxCost", r#""0""#)], "above 0 and at most 1e9"),
];

const VERSION_CASES: &[Case] = &[(&[("baseModel", "null")], "an adapter needs its base model")];

/// Sentences of rules that no object can break alone: early stopping without held-out rows takes evalSteps, whose own rule speaks first.
const NEVER_ALONE: &[&str] = &["evaluation.earlyStoppingPatience needs held-out rows: set dataset.validation"];

pub(super) fn edited(object: &Value, edits: &[(&str, &str)]) -> Value {
    edits.iter().fold(object.clone(), |object, (place, value)| {
        let pointer = place.strip_prefix('/').map_or_else(|| format!("/spec/{place}"), ToOwned::to_owned);
        with(&object, &pointer, serde_json::from_str(value).unwrap())
    })
}

async fn refuses_each(subject: &Subject, valid: &Value, cases: &[Case]) {
    subject.try_create(valid).await.unwrap_or_else(|refusal| panic!("{refusal:#?} for {valid}"));
    let sentences = subject.sentences(false);
    let mut met = BTreeSet::new();
    for (edits, wanted) in cases {
        let case = format!("{edits:?}");
        let Err(refusal) = subject.try_create(&edited(valid, edits)).await else { panic!("{case} is accepted") };
        met.insert(refusal.only(&case, wanted, &sentences));
    }
    let untested: Vec<_> = sentences.difference(&met).filter(|sentence| !NEVER_ALONE.contains(&sentence.as_str())).collect();
    assert_eq!(untested, Vec::<&String>::new(), "rules that no case breaks");
}

#[tokio::test]
async fn each_rule_of_a_job_refuses_what_it_is_for() {
    let namespace = Namespace::create("rules").await;
    refuses_each(&Subject::new(&namespace, crd::fine_tune_job(), &job()), &job(), JOB_CASES).await;
}

#[tokio::test]
async fn each_rule_of_a_model_version_refuses_what_it_is_for() {
    let namespace = Namespace::create("rules").await;
    refuses_each(&Subject::new(&namespace, crd::model_version(), &version()), &version(), VERSION_CASES).await;
}

#[tokio::test]
async fn early_stopping_without_held_out_rows_is_refused_twice() {
    let namespace = Namespace::create("rules").await;
    let subject = Subject::new(&namespace, crd::fine_tune_job(), &job());
    let object = edited(&job(), &[("dataset/validation", "null"), ("evaluation", r#"{"evalSteps": 5, "earlyStoppingPatience": 2}"#)]);
    let refusal = subject.try_create(&object).await.unwrap_err();
    let said: Vec<_> = refusal.causes.iter().map(|(_, message)| message.as_str()).collect();
    assert!(said.len() == 2 && NEVER_ALONE.iter().all(|wanted| said.iter().any(|message| message.contains(wanted))), "{said:#?}");
}
