use super::validate;
use crate::capabilities::{Capabilities, Target};
use crate::problem::Problem;
use crate::validated::ValidatedFineTuneJob;
use serde_json::{Value, json};
use temper_contract::config::{Device, Method, Precision};
use temper_crds::FineTuneJob;

const CLUSTER: Capabilities = Capabilities::CLUSTER;

fn minimal() -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": "tiny" },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny" },
            "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
            "method": { "type": "lora", "lora": {} },
            "hyperparameters": { "maxSteps": 10 },
        },
    })
}

fn check(job: Value, capabilities: Capabilities) -> Result<ValidatedFineTuneJob, Vec<Problem>> {
    let job: FineTuneJob = serde_json::from_value(job).expect("of the right types");
    validate(&job, capabilities)
}

/// The minimal job with some fields of its spec replaced, by JSON merge patch.
fn with(patch: Value) -> Value {
    let mut job = minimal();
    merge(&mut job["spec"], patch);
    job
}

fn merge(target: &mut Value, patch: Value) {
    match patch {
        Value::Object(fields) => {
            if !target.is_object() {
                *target = json!({});
            }
            for (name, value) in fields {
                if value.is_null() {
                    target.as_object_mut().expect("an object").remove(&name);
                } else {
                    merge(&mut target[name], value);
                }
            }
        }
        value => *target = value,
    }
}

#[test]
fn defaults_are_resolved() {
    let job = check(minimal(), Capabilities::LOCAL_CPU).expect("valid");
    assert_eq!((job.hyperparameters.learning_rate, job.hyperparameters.precision), (2e-4, Precision::Bf16));
    assert_eq!((job.max_restarts, job.stall_timeout_seconds, job.checkpoint.save_steps), (3, 900, Some(500)));
    assert_eq!((job.parallelism.world_size(), job.parallelism.threads_per_proc, job.parallelism.micro_batches_per_step), (1, 1, 1));
    assert_eq!(job.preparation.filters.max_rejected_fraction, 0.1);
    let Method::Lora(lora) = &job.method else { panic!("lora") };
    assert_eq!((lora.r, lora.lora_alpha, lora.target_modules.as_slice()), (16, 32.0, ["all-linear".to_owned()].as_slice()));
    let full = check(with(json!({ "method": { "type": "full", "lora": null } })), Capabilities::LOCAL_CPU).expect("valid");
    assert_eq!((full.method, full.hyperparameters.learning_rate), (Method::Full, 2e-5));
}

#[test]
fn a_global_batch_is_divided_among_processes() {
    let patch = json!({
        "hyperparameters": { "gradientAccumulationSteps": 4 },
        "trainer": { "numNodes": 2, "numProcPerNode": 8, "resourcesPerNode": { "limits": { "cpu": "64", "nvidia.com/gpu": 8 } } },
    });
    let job = check(with(patch), CLUSTER).expect("valid");
    assert_eq!((job.parallelism.micro_batches_per_step, job.parallelism.threads_per_proc, job.parallelism.device), (64, 8, Device::Cuda));
}

#[test]
fn what_this_version_does_not_carry_out_is_refused_by_name() {
    let refused = [
        (json!({ "dataset": { "filters": { "nearDeduplication": {} } } }), "spec.dataset.filters.nearDeduplication"),
        (json!({ "dataset": { "filters": { "repetition": {} } } }), "spec.dataset.filters.repetition"),
        (json!({ "hyperparameters": { "gradientCheckpointing": true } }), "spec.hyperparameters.gradientCheckpointing"),
        (json!({ "evaluation": { "metrics": ["perplexity", "bleu"] } }), "spec.evaluation.metrics[1]"),
        (json!({ "trainer": { "strategy": "fsdp" } }), "spec.trainer.strategy"),
        (json!({ "tracking": { "mlflow": { "trackingUri": "http://x", "experiment": "x" } } }), "spec.tracking"),
        (json!({ "cost": { "maxCost": "5" } }), "spec.cost.maxCost"),
    ];
    for target in [Capabilities::LOCAL_CPU, Capabilities::CLUSTER] {
        for (patch, path) in &refused {
            let problems = check(with(patch.clone()), target).expect_err(path);
            assert_eq!(
                problems.iter().map(|problem| (problem.path.as_str(), problem.reason.as_str())).collect::<Vec<_>>(),
                [(*path, Problem::NOT_SUPPORTED)]
            );
            assert!(!problems[0].next_step.is_empty());
        }
    }
}

/// The spec's patch, the field that is named, and a part of the reason.
#[test]
fn what_is_wrong_is_refused_with_its_field_and_reason() {
    let table = [
        (json!({ "baseModel": { "revision": "main" } }), "spec.baseModel.revision", "hf:// models only"),
        (json!({ "baseModel": { "storageUri": "pvc://models/../x" } }), "spec.baseModel.storageUri", "leaves its volume"),
        (json!({ "baseModel": { "storageUri": "models/x" } }), "spec.baseModel.storageUri", "no scheme"),
        (json!({ "baseModel": { "secretRef": { "name": "A_B" } } }), "spec.baseModel.secretRef.name", "not a name"),
        (json!({ "dataset": { "maxLength": 4 } }), "spec.dataset.maxLength", "from 8 to"),
        (json!({ "dataset": { "chatTemplate": "tokenizerdefault" } }), "spec.dataset.chatTemplate", "no Jinja template"),
        (json!({ "dataset": { "validation": {} } }), "spec.dataset.validation", "neither"),
        (json!({ "dataset": { "validation": { "split": "0.1", "storageUri": "pvc://x/y" } } }), "spec.dataset.validation", "both"),
        (json!({ "dataset": { "validation": { "split": "1" } } }), "spec.dataset.validation.split", "between 0 and 1"),
        (json!({ "dataset": { "validation": { "split": "much" } } }), "spec.dataset.validation.split", "not a decimal"),
        (
            json!({ "dataset": { "filters": { "minLength": 9, "maxLength": 8 } } }),
            "spec.dataset.filters.minLength",
            "greater than maxLength",
        ),
        (json!({ "dataset": { "filters": { "includePattern": "(" } } }), "spec.dataset.filters.includePattern", "unclosed group"),
        (
            json!({ "dataset": { "filters": { "excludePattern": "(?=x)" } } }),
            "spec.dataset.filters.excludePattern",
            "not a regular expression",
        ),
        (json!({ "dataset": { "filters": { "maxRejectedFraction": "2" } } }), "spec.dataset.filters.maxRejectedFraction", "from 0 to 1"),
        (json!({ "method": { "lora": null } }), "spec.method.lora", "is missing"),
        (json!({ "method": { "type": "full" } }), "spec.method.lora", "is there though"),
        (json!({ "method": { "lora": { "r": 0 } } }), "spec.method.lora.r", "from 1 to"),
        (json!({ "method": { "lora": { "loraDropout": "1" } } }), "spec.method.lora.loraDropout", "not including, 1"),
        (json!({ "method": { "lora": { "targetModules": [] } } }), "spec.method.lora.targetModules", "1 to 64"),
        (json!({ "method": { "lora": { "targetModules": ["q_proj", "q_proj"] } } }), "spec.method.lora.targetModules[1]", "twice"),
        (json!({ "method": { "lora": { "targetModules": ["all-linear", "q_proj"] } } }), "spec.method.lora.targetModules", "every name"),
        (json!({ "hyperparameters": { "maxSteps": null } }), "spec.hyperparameters", "how long"),
        (json!({ "hyperparameters": { "learningRate": "0" } }), "spec.hyperparameters.learningRate", "above 0"),
        (json!({ "hyperparameters": { "warmupSteps": 11 } }), "spec.hyperparameters.warmupSteps", "more than maxSteps"),
        (json!({ "hyperparameters": { "adamBeta2": "1" } }), "spec.hyperparameters.adamBeta2", "not including, 1"),
        (json!({ "hyperparameters": { "perDeviceTrainBatchSize": 0 } }), "spec.hyperparameters.perDeviceTrainBatchSize", "from 1 to"),
        (json!({ "evaluation": { "evalSteps": 5 } }), "spec.evaluation.evalSteps", "held-out rows"),
        (
            json!({ "dataset": { "validation": { "split": "0.1" } }, "evaluation": { "earlyStoppingPatience": 1 } }),
            "spec.evaluation.earlyStoppingPatience",
            "counts evaluations",
        ),
        (json!({ "trainer": { "numProcPerNode": 0 } }), "spec.trainer.numProcPerNode", "from 1 to 64"),
        (json!({ "trainer": { "numNodes": 0 } }), "spec.trainer.numNodes", "from 1 to 1024"),
        (json!({ "trainer": { "env": [{ "name": "PATH", "value": "" }] } }), "spec.trainer.env[0].name", "only variables"),
        (json!({ "trainer": { "env": [{ "name": "OMP_NUM_THREADS", "value": "4" }] } }), "spec.trainer.env[0].name", "limits.cpu"),
        (
            json!({ "trainer": { "env": [{ "name": "NCCL_A", "value": "" }, { "name": "NCCL_A", "value": "" }] } }),
            "spec.trainer.env[1].name",
            "twice",
        ),
        (
            json!({ "trainer": { "resourcesPerNode": { "limits": { "cpu": "two" } } } }),
            "spec.trainer.resourcesPerNode.limits[cpu]",
            "not an amount",
        ),
        (json!({ "trainer": { "resourcesPerNode": { "limits": { "cpu": 0 } } } }), "spec.trainer.resourcesPerNode.limits[cpu]", "above 0"),
        (
            json!({ "trainer": { "resourcesPerNode": { "limits": { "cpu": 1 }, "requests": { "cpu": "1500m" } } } }),
            "spec.trainer.resourcesPerNode.requests[cpu]",
            "more than the limit",
        ),
        (
            json!({ "trainer": { "resourcesPerNode": { "limits": { "nvidia.com/gpu": 1 } } } }),
            "spec.trainer.resourcesPerNode.limits[nvidia.com/gpu]",
            "no GPU here",
        ),
        (json!({ "suspend": true }), "spec.suspend", "not held by its manifest"),
        (json!({ "checkpoint": { "saveSteps": 0 } }), "spec.checkpoint.saveSteps", "from 1 to"),
        (json!({ "checkpoint": { "storageUri": "hf://owner/name" } }), "spec.checkpoint.storageUri", "hub is not written to"),
        (json!({ "failurePolicy": { "stallTimeoutSeconds": 1 } }), "spec.failurePolicy.stallTimeoutSeconds", "from 10 to"),
        (json!({ "output": { "register": { "modelName": "A" } } }), "spec.output.register.modelName", "DNS-1123"),
        (
            json!({ "method": { "type": "full", "lora": null }, "output": { "mergeAdapter": true } }),
            "spec.output.mergeAdapter",
            "no adapter",
        ),
    ];
    for (patch, path, reason) in table {
        let problems = check(with(patch), Capabilities::LOCAL_CPU).expect_err(path);
        assert_eq!(problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), [path]);
        assert!(problems[0].reason.contains(reason), "{path}: {}", problems[0]);
        assert!(!problems[0].next_step.is_empty(), "{path}");
    }
}

#[test]
fn the_name_must_fit_into_the_names_of_pods() {
    for name in ["", "Tiny", "a.b", "-a", &"a".repeat(49)] {
        let mut job = minimal();
        job["metadata"]["name"] = json!(name);
        assert_eq!(check(job, CLUSTER).expect_err(name)[0].path, "metadata.name");
    }
}

#[test]
fn where_pods_run_is_no_obstacle_on_one_machine_and_is_named() {
    let trainer = json!({
        "image": "x", "imagePullPolicy": "Never", "imagePullSecrets": [{ "name": "x" }], "nodeSelector": { "a": "b" },
        "tolerations": [{ "operator": "Exists" }], "priorityClassName": "high", "runtimeClassName": "nvidia", "serviceAccountName": "x",
    });
    let job = check(with(json!({ "trainer": trainer })), Capabilities::LOCAL_CPU).expect("valid");
    let all = trainer.as_object().expect("fields").keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(job.placement.named().into_iter().collect::<std::collections::BTreeSet<_>>(), all);
    assert!(check(with(json!({})), Capabilities::LOCAL_CPU).is_ok_and(|job| job.placement.named().is_empty()));
}

#[test]
fn hubs_and_object_stores_are_for_every_target() {
    let remote = json!({
        "baseModel": { "storageUri": "hf://owner/name", "revision": "v1", "secretRef": { "name": "token" } },
        "dataset": { "storageUri": "gs://bucket/rows", "validation": { "storageUri": "az://container/held-out" } },
        "checkpoint": { "storageUri": "s3://bucket/checkpoints" }, "output": { "storageUri": "s3://bucket/models/" },
    });
    for target in [Capabilities::LOCAL_CPU, CLUSTER] {
        let job = check(with(remote.clone()), target).expect("valid");
        assert!([&job.base_model, &job.dataset].iter().all(|location| location.is_remote()));
        assert_eq!(job.base_model.secret.as_deref(), Some("token"));
        assert_eq!(job.output_location.map(|location| location.folder_of("tiny-1")).as_deref(), Some("s3://bucket/models/tiny-1"));
    }
}

#[test]
fn what_depends_on_the_target_is_refused_only_there() {
    let file = with(json!({ "dataset": { "storageUri": "file:///data/rows.jsonl" } }));
    assert!(check(file.clone(), Capabilities::LOCAL_CPU).is_ok());
    assert_eq!(check(file, CLUSTER).expect_err("refused")[0].path, "spec.dataset.storageUri");
    assert!(check(with(json!({ "suspend": true })), CLUSTER).is_ok_and(|job| job.suspend));
    let gpu = with(json!({ "trainer": { "resourcesPerNode": { "limits": { "nvidia.com/gpu": 1 } } } }));
    assert!(check(gpu.clone(), Capabilities { target: Target::Local, cuda: true }).is_ok_and(|job| job.parallelism.device == Device::Cuda));
    assert!(check(gpu, CLUSTER).is_ok());
    let two = with(json!({ "trainer": { "numProcPerNode": 2, "resourcesPerNode": { "limits": { "nvidia.com/gpu": 1 } } } }));
    assert!(check(two, CLUSTER).expect_err("refused")[0].reason.contains("must equal numProcPerNode (2)"));
}

#[test]
fn all_problems_are_reported_together() {
    let patch = json!({ "hyperparameters": { "maxSteps": null, "learningRate": "0" }, "cost": { "maxCost": "1" }, "trainer": { "strategy": "fsdp" } });
    assert_eq!(check(with(patch), Capabilities::LOCAL_CPU).expect_err("refused").len(), 4);
}

#[test]
fn the_quickstart_runs_and_the_full_sample_names_what_is_missing() {
    let job = |text: &str| match temper_crds::parse_manifest(text).expect("a sample").remove(0).resource {
        temper_crds::Resource::FineTuneJob(job) => *job,
        other => panic!("{}", other.kind()),
    };
    let quickstart = job(include_str!("../../../../deploy/samples/quickstart/finetunejob.yaml"));
    for target in [Capabilities::LOCAL_CPU, CLUSTER] {
        let job = validate(&quickstart, target).expect("valid");
        assert_eq!((job.parallelism.world_size(), job.parallelism.threads_per_proc), (2, 1));
    }
    let full = job(include_str!("../../../../deploy/samples/reference/finetunejob.yaml"));
    let problems = validate(&full, CLUSTER).expect_err("not all of it is supported");
    assert!(problems.iter().all(|problem| problem.reason == Problem::NOT_SUPPORTED), "{problems:#?}");
    assert_eq!(problems.len(), 6, "{problems:#?}");
}
