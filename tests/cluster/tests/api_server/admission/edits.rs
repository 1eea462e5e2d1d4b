//! What of a resource may be changed once it is there.

use std::collections::BTreeSet;

use serde_json::Value;
use temper_cluster_tests::Namespace;
use temper_crds::crd;

use super::rules::{edited, job, version};
use super::subject::Subject;

/// A field below `/spec`, its new value, and the sentence that refuses it.
type Case = (&'static str, &'static str, &'static str);

const JOB_CASES: &[Case] = &[
    ("baseModel/storageUri", r#""pvc://models/other""#, "baseModel cannot be changed"),
    ("dataset/maxLength", "64", "dataset cannot be changed"),
    ("method/lora/r", "4", "method cannot be changed"),
    ("hyperparameters/maxSteps", "20", "hyperparameters cannot be changed"),
    ("evaluation/evalSteps", "5", "evaluation cannot be changed"),
    ("checkpoint/saveSteps", "5", "checkpoint cannot be changed"),
    ("failurePolicy/maxRestarts", "5", "failurePolicy cannot be changed"),
    ("output/register", r#"{"modelName": "tiny", "stage": "None"}"#, "output cannot be changed"),
    ("activeDeadlineSeconds", "60", "activeDeadlineSeconds cannot be changed"),
    ("tracking", r#"{"mlflow": {"trackingUri": "http://mlflow", "experiment": "tiny"}}"#, "tracking cannot be changed"),
    ("cost", "null", "neither added nor removed"),
    ("trainer/numNodes", "2", "only while the job is suspended"),
    ("trainer/numProcPerNode", "2", "only while the job is suspended"),
    ("trainer/strategy", r#""fsdp""#, "strategy cannot be changed"),
    ("trainer/env", "null", "env cannot be changed"),
    ("trainer/resourcesPerNode/limits/cpu", "3", "resourcesPerNode cannot be changed"),
    ("trainer/image", r#""other:1""#, "image cannot be changed"),
    ("trainer/imagePullPolicy", r#""Always""#, "imagePullPolicy cannot be changed"),
    ("trainer/imagePullSecrets", r#"[{"name": "registry"}]"#, "imagePullSecrets cannot be changed"),
    ("trainer/nodeSelector", r#"{"a": "b"}"#, "nodeSelector cannot be changed"),
    ("trainer/tolerations", r#"[{"operator": "Exists"}]"#, "tolerations cannot be changed"),
    ("trainer/priorityClassName", r#""high""#, "priorityClassName cannot be changed"),
    ("trainer/runtimeClassName", r#""nvidia""#, "runtimeClassName cannot be changed"),
    ("trainer/serviceAccountName", r#""trainer""#, "serviceAccountName cannot be changed"),
];

const VERSION_CASES: &[Case] = &[
    ("modelName", r#""other""#, "modelName cannot be changed"),
    ("version", "2", "version cannot be changed"),
    ("uri", r#""pvc://models/other""#, "uri cannot be changed"),
    ("digest", r#""sha256:1111111111111111111111111111111111111111111111111111111111111111""#, "digest cannot be changed"),
    ("format", r#""HuggingFace""#, "format cannot be changed"),
    ("baseModel/uri", r#""pvc://models/other""#, "baseModel cannot be changed"),
    (
        "chatTemplateDigest",
        r#""sha256:1111111111111111111111111111111111111111111111111111111111111111""#,
        "chatTemplateDigest cannot be changed",
    ),
    ("trainingConfig", r#"{"r": "8"}"#, "trainingConfig cannot be changed"),
    ("metrics/validationLoss", r#""1.0""#, "metrics cannot be changed"),
    ("sourceRef", r#"{"kind": "FineTuneJob", "name": "x"}"#, "sourceRef cannot be changed"),
];

async fn refuses_each(subject: &Subject, there: &Value, cases: &[Case]) {
    let sentences = subject.sentences(true);
    let mut met = BTreeSet::new();
    for (place, value, wanted) in cases {
        let Err(refusal) = subject.try_replace(&edited(there, &[(place, value)])).await else { panic!("{place}: {value} is accepted") };
        met.insert(refusal.only(place, wanted, &sentences));
    }
    let untested: Vec<_> = sentences.difference(&met).collect();
    assert_eq!(untested, Vec::<&String>::new(), "rules that no case breaks");
}

async fn accepts_each(subject: &Subject, there: &Value, edits: &[(&str, &str)]) {
    for edit in edits {
        subject.try_replace(&edited(there, &[*edit])).await.unwrap_or_else(|refusal| panic!("{edit:?}: {refusal:#?}"));
    }
}

#[tokio::test]
async fn a_job_is_immutable_but_for_the_fields_that_may_change() {
    let namespace = Namespace::create("edits").await;
    let subject = Subject::new(&namespace, crd::fine_tune_job(), &job());
    let there = subject.create(&job()).await;
    refuses_each(&subject, &there, JOB_CASES).await;
    accepts_each(&subject, &there, &[("suspend", "true"), ("cost/maxCost", r#""300""#), ("ttlSecondsAfterFinished", "60")]).await;
}

#[tokio::test]
async fn a_suspended_job_may_change_its_size() {
    let namespace = Namespace::create("edits").await;
    let subject = Subject::new(&namespace, crd::fine_tune_job(), &job());
    let there = subject.create(&edited(&job(), &[("suspend", "true")])).await;
    accepts_each(&subject, &there, &[("trainer/numNodes", "2"), ("trainer/numProcPerNode", "4"), ("suspend", "false")]).await;
}

#[tokio::test]
async fn a_model_version_moves_between_stages_and_changes_in_nothing_else() {
    let namespace = Namespace::create("edits").await;
    let subject = Subject::new(&namespace, crd::model_version(), &version());
    let there = subject.create(&version()).await;
    refuses_each(&subject, &there, VERSION_CASES).await;
    accepts_each(&subject, &there, &[("stage", r#""Production""#)]).await;
}
