//! The CEL rules of the CRDs, evaluated: one field of a valid object is changed, and one rule refuses it.

use kube_cel::Validator;
use serde_json::{Value, json};
use temper_crds::crd;

fn job() -> Value {
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

fn version() -> Value {
    json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "ModelVersion", "metadata": { "name": "tiny-v1" },
        "spec": {
            "modelName": "tiny", "version": 1, "uri": "pvc://models/tiny/1", "digest": format!("sha256:{}", "0".repeat(64)),
            "format": "PeftAdapter", "baseModel": { "uri": "pvc://models/tiny" }, "metrics": { "validationLoss": "1.5" },
        },
    })
}

/// Fills in the schema's defaults, as the API server does before it evaluates rules.
fn defaulted(value: &mut Value, schema: &Value) {
    if let (Some(fields), Some(properties)) = (value.as_object_mut(), schema["properties"].as_object()) {
        for (name, schema) in properties {
            if let (false, Some(default)) = (fields.contains_key(name), schema.get("default")) {
                fields.insert(name.clone(), default.clone());
            }
            if let Some(field) = fields.get_mut(name) {
                defaulted(field, schema);
            }
        }
    }
}

/// What the rules say of an object (and of a change, if there is an object before it).
fn messages(definition: &Value, object: &Value, before: Option<&Value>) -> Vec<String> {
    let schema = crd::schema(definition);
    let mut object = object.clone();
    defaulted(&mut object, schema);
    let before = before.map(|before| {
        let mut before = before.clone();
        defaulted(&mut before, schema);
        before
    });
    match Validator::new().validate(schema, &object, before.as_ref()) {
        Ok(()) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// Sets (or with null removes) the field at a JSON pointer, making objects on the way.
fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let mut place = &mut object;
    let mut names = pointer.trim_start_matches('/').split('/').peekable();
    while let Some(name) = names.next() {
        let last = names.peek().is_none();
        place = match place {
            Value::Array(items) => &mut items[name.parse::<usize>().expect("an index")],
            Value::Object(fields) if last && value.is_null() => {
                fields.remove(name);
                return object;
            }
            Value::Object(fields) => fields.entry(name).or_insert_with(|| json!({})),
            other => panic!("{name} is in {other}"),
        };
    }
    *place = value;
    object
}

fn assert_only(messages: &[String], wanted: &str, case: &str) {
    assert!(messages.len() == 1 && messages[0].contains(wanted), "{case}: {messages:?} instead of {wanted}");
}

#[test]
fn valid_objects_pass() {
    assert_eq!(messages(&crd::fine_tune_job(), &job(), None), Vec::<String>::new());
    assert_eq!(messages(&crd::fine_tune_job(), &job(), Some(&job())), Vec::<String>::new());
    assert_eq!(messages(&crd::model_version(), &version(), None), Vec::<String>::new());
    assert_eq!(messages(&crd::model_version(), &version(), Some(&version())), Vec::<String>::new());
}

#[test]
fn each_rule_of_a_job_refuses_what_it_is_for() {
    let definition = crd::fine_tune_job();
    let table = [
        ("/metadata/name", json!("a".repeat(49)), "at most 48 characters"),
        ("/metadata/name", json!("a.b"), "no dots"),
        ("/spec/baseModel/revision", json!("main"), "revision is for hf:// models only"),
        ("/spec/dataset/validation/storageUri", json!("pvc://data/held-out.jsonl"), "exactly one of split"),
        ("/spec/dataset/validation/split", Value::Null, "exactly one of split"),
        ("/spec/dataset/validation/split", json!("1.0"), "between 0 and 1"),
        ("/spec/dataset/filters", json!({ "minLength": 9, "maxLength": 8 }), "minLength must not be greater"),
        ("/spec/dataset/filters/maxRejectedFraction", json!("1.5"), "from 0.0 to 1.0"),
        ("/spec/dataset/filters/nearDeduplication", json!({ "threshold": "0" }), "above 0"),
        ("/spec/dataset/filters/repetition", json!({ "maxFraction": "2" }), "from 0.0 to 1.0"),
        ("/spec/method/lora", Value::Null, "lora is required when type is lora"),
        ("/spec/method/type", json!("full"), "not allowed when type is full"),
        ("/spec/method/lora/loraDropout", json!("1"), "not including, 1"),
        ("/spec/hyperparameters/maxSteps", Value::Null, "say how long to train"),
        ("/spec/hyperparameters/learningRate", json!("0"), "above 0"),
        ("/spec/hyperparameters/learningRate", json!("-1e-4"), "above 0"),
        ("/spec/hyperparameters/weightDecay", json!("1.5"), "from 0.0 to 1.0"),
        ("/spec/hyperparameters/adamBeta1", json!("1"), "not including, 1"),
        ("/spec/hyperparameters/adamBeta2", json!("1"), "not including, 1"),
        ("/spec/hyperparameters/adamEpsilon", json!("0"), "above 0"),
        ("/spec/hyperparameters/maxGradNorm", json!("-1"), "from 0.0 to 1e6"),
        ("/spec/evaluation/earlyStoppingPatience", json!(2), "set evalSteps too"),
        ("/spec/trainer/env/0/name", json!("LD_PRELOAD"), "only variables that tune libraries"),
        ("/spec/trainer/env/0/name", json!("OMP_NUM_THREADS"), "limits.cpu"),
        ("/spec/tracking", json!({}), "name a tracker"),
        ("/spec/cost/maxCost", json!("0"), "above 0"),
    ];
    for (pointer, value, wanted) in table {
        assert_only(&messages(&definition, &with(&job(), pointer, value), None), wanted, pointer);
    }
    let without_held_out = with(&job(), "/spec/dataset/validation", Value::Null);
    assert_only(
        &messages(&definition, &with(&without_held_out, "/spec/evaluation/evalSteps", json!(5)), None),
        "evalSteps needs held-out rows",
        "evalSteps",
    );
    let full = with(&with(&job(), "/spec/method", json!({ "type": "full" })), "/spec/output/mergeAdapter", json!(true));
    assert_only(&messages(&definition, &full, None), "mergeAdapter needs an adapter", "mergeAdapter");
}

#[test]
fn a_job_is_immutable_but_for_the_fields_that_may_change() {
    let definition = crd::fine_tune_job();
    let refused = [
        ("/spec/baseModel/storageUri", json!("pvc://models/other"), "baseModel cannot be changed"),
        ("/spec/dataset/maxLength", json!(64), "dataset cannot be changed"),
        ("/spec/method/lora/r", json!(4), "method cannot be changed"),
        ("/spec/hyperparameters/maxSteps", json!(20), "hyperparameters cannot be changed"),
        ("/spec/evaluation/evalSteps", json!(5), "evaluation cannot be changed"),
        ("/spec/checkpoint/saveSteps", json!(5), "checkpoint cannot be changed"),
        ("/spec/failurePolicy/maxRestarts", json!(5), "failurePolicy cannot be changed"),
        ("/spec/output/register", json!({ "modelName": "tiny", "stage": "None" }), "output cannot be changed"),
        ("/spec/activeDeadlineSeconds", json!(60), "activeDeadlineSeconds cannot be changed"),
        ("/spec/tracking", json!({ "mlflow": { "trackingUri": "http://mlflow", "experiment": "tiny" } }), "tracking cannot be changed"),
        ("/spec/cost", Value::Null, "neither added nor removed"),
        ("/spec/trainer/numNodes", json!(2), "only while the job is suspended"),
        ("/spec/trainer/numProcPerNode", json!(2), "only while the job is suspended"),
        ("/spec/trainer/strategy", json!("fsdp"), "strategy cannot be changed"),
        ("/spec/trainer/env", Value::Null, "env cannot be changed"),
        ("/spec/trainer/resourcesPerNode/limits/cpu", json!(3), "resourcesPerNode cannot be changed"),
        ("/spec/trainer/image", json!("other:1"), "image cannot be changed"),
        ("/spec/trainer/nodeSelector", json!({ "a": "b" }), "nodeSelector cannot be changed"),
        ("/spec/trainer/tolerations", json!([{ "operator": "Exists" }]), "tolerations cannot be changed"),
        ("/spec/trainer/priorityClassName", json!("high"), "priorityClassName cannot be changed"),
    ];
    for (pointer, value, wanted) in refused {
        assert_only(&messages(&definition, &with(&job(), pointer, value), Some(&job())), wanted, pointer);
    }
    let allowed = [("/spec/suspend", json!(true)), ("/spec/cost/maxCost", json!("300")), ("/spec/ttlSecondsAfterFinished", json!(60))];
    for (pointer, value) in allowed {
        assert_eq!(messages(&definition, &with(&job(), pointer, value), Some(&job())), Vec::<String>::new(), "{pointer}");
    }
    let suspended = with(&job(), "/spec/suspend", json!(true));
    let resized = with(&with(&suspended, "/spec/trainer/numNodes", json!(2)), "/spec/trainer/numProcPerNode", json!(4));
    assert_eq!(messages(&definition, &resized, Some(&suspended)), Vec::<String>::new());
}

#[test]
fn a_model_version_moves_between_stages_and_changes_in_nothing_else() {
    let definition = crd::model_version();
    assert_eq!(messages(&definition, &with(&version(), "/spec/stage", json!("Production")), Some(&version())), Vec::<String>::new());
    let refused = [
        ("/spec/uri", json!("pvc://models/other"), "uri cannot be changed"),
        ("/spec/version", json!(2), "version cannot be changed"),
        ("/spec/metrics/validationLoss", json!("1.0"), "metrics cannot be changed"),
        ("/spec/sourceRef", json!({ "kind": "FineTuneJob", "name": "x" }), "sourceRef cannot be changed"),
    ];
    for (pointer, value, wanted) in refused {
        assert_only(&messages(&definition, &with(&version(), pointer, value), Some(&version())), wanted, pointer);
    }
    assert_only(
        &messages(&definition, &with(&version(), "/spec/baseModel", Value::Null), None),
        "an adapter needs its base model",
        "baseModel",
    );
}
