//! Values that make no sense are refused before anything is installed, with a message that says where and what.

use crate::modes::helm;
use clap::Parser;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use temper_chart_tests::repository;
use temper_operator::args::{OperatorArgs, PodEnvironment};

#[test]
fn nonsense_is_refused_by_its_place() {
    let table: [(Value, &[&str]); 30] = [
        (json!({ "replicas": 2 }), &["replicas", "not allowed"]),
        (json!({ "image": { "tags": "x" } }), &["/image", "tags", "not allowed"]),
        (json!({ "trainer": { "repository": "x" } }), &["/trainer", "repository", "not allowed"]),
        (json!({ "trainer": { "metricsFrom": "monitoring" } }), &["/trainer/metricsFrom", "got string, want array"]),
        (json!({ "trainer": { "metricsFrom": ["Monitoring"] } }), &["/trainer/metricsFrom/0", "pattern"]),
        (json!({ "trainer": { "env": [{ "name": "A", "value": "b" }] } }), &["/trainer/env", "got array, want object"]),
        (json!({ "trainer": { "env": { "NO_PROXY": 5 } } }), &["/trainer/env/NO_PROXY", "got number, want string"]),
        (json!({ "replicaCount": "two" }), &["/replicaCount", "got string, want integer"]),
        (json!({ "replicaCount": 1.5 }), &["/replicaCount", "want integer"]),
        (json!({ "replicaCount": -1 }), &["/replicaCount", "minimum"]),
        (json!({ "image": "nginx" }), &["/image", "got string, want object"]),
        (json!({ "image": { "digest": "sha256:1234" } }), &["/image/digest", "pattern"]),
        (json!({ "image": { "tag": 1.2 } }), &["/image/tag", "got number, want string"]),
        (json!({ "image": { "pullPolicy": "Sometimes" } }), &["/image/pullPolicy", "Always", "IfNotPresent", "Never"]),
        (json!({ "watchNamespace": "Team A" }), &["/watchNamespace", "pattern"]),
        (json!({ "watchNamespace": ["a", "b"] }), &["/watchNamespace", "got array, want string"]),
        (json!({ "runVolume": { "size": "50 GB" } }), &["/runVolume/size", "pattern"]),
        (json!({ "scrapeInterval": 15 }), &["/scrapeInterval", "got number, want string"]),
        (json!({ "leaderElection": { "leaseDuration": "forever" } }), &["/leaderElection/leaseDuration", "pattern"]),
        (json!({ "logFormat": "xml" }), &["/logFormat", "json", "text"]),
        (json!({ "otlp": { "endpoint": "otel-collector:4317" } }), &["/otlp/endpoint", "pattern"]),
        (json!({ "extraArgs": ["concurrency=3"] }), &["/extraArgs/0", "pattern"]),
        (json!({ "runAsUser": 0 }), &["/runAsUser", "minimum"]),
        (json!({ "resources": { "limit": { "cpu": 1 } } }), &["/resources", "limit", "not allowed"]),
        (json!({ "tolerations": [{ "effect": "Never" }] }), &["/tolerations/0/effect"]),
        (json!({ "commonLabels": { "a": "not a label!" } }), &["/commonLabels/a", "pattern"]),
        (json!({ "networkPolicy": { "apiServerCIDRs": [] } }), &["/networkPolicy/apiServerCIDRs", "minItems"]),
        (json!({ "networkPolicy": { "metricsFrom": [{}] } }), &["/networkPolicy/metricsFrom/0", "minProperties"]),
        (json!({ "monitoring": { "enabled": "yes" } }), &["/monitoring/enabled", "auto"]),
        (json!({ "monitoring": { "prometheusRule": { "disabled": ["TemperNothing"] } } }), &["TemperNothing", "there is no such alert"]),
    ];
    for (values, words) in table {
        let helm = helm().serving("monitoring.coreos.com/v1");
        let error = helm.template(&values).map(|_| ()).expect_err(&format!("{values} is refused")).to_string();
        for word in words {
            assert!(error.contains(word), "{values}: no `{word}` in:\n{error}");
        }
    }
}

/// The schema repeats the operator's rule, so that a name that it refuses is refused before its pods fail to start.
#[test]
fn the_chart_takes_the_variables_that_the_operator_takes() {
    let table = [
        ("HTTPS_PROXY", true),
        ("no_proxy", true),
        ("RANKING", true),
        ("KEY_SERVER", true),
        ("A B", false),
        ("1A", false),
        ("MASTER_ADDR", false),
        ("LD_PRELOAD", false),
        ("RANK", false),
        ("HOME", false),
        ("MKL_NUM_THREADS", false),
        ("HF_TOKEN", false),
        ("proxy_password", false),
        ("WANDB_API_KEY", false),
        ("storage_key", false),
    ];
    for (name, is_taken) in table {
        let flags = ["temper-operator".to_owned(), "--trainer-image=x".to_owned(), format!("--pod-env={name}=x")];
        let parsed = OperatorArgs::try_parse_from(flags).and_then(|args| args.checked(&PodEnvironment::default()));
        assert_eq!(parsed.is_ok(), is_taken, "the operator: {name}");
        let rendered = helm().template(&json!({ "trainer": { "env": { name: "x" } } }));
        assert_eq!(rendered.is_ok(), is_taken, "the chart: {name}");
        if let Err(error) = rendered {
            // Of a name that is refused, Helm's validator tells the name and not always the place.
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
    }
}

#[test]
fn an_account_that_is_not_made_must_be_named() {
    let error = helm().template(&json!({ "serviceAccount": { "create": false } })).map(|_| ()).expect_err("no account").to_string();
    assert!(error.contains("serviceAccount.name"), "{error}");
}

/// Every value is in the schema and the other way round, at every depth, and no object takes unknown names by accident.
#[test]
fn the_schema_knows_exactly_the_values_there_are() {
    let values: Value = serde_saphyr::from_str(&repository::read("charts/temper/values.yaml").expect("values")).expect("YAML");
    let schema: Value = serde_json::from_str(&repository::read("charts/temper/values.schema.json").expect("a schema")).expect("JSON");
    compare(&schema, &schema, &values, "");
}

fn compare(root: &Value, schema: &Value, value: &Value, path: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{path}: no {reference}")),
        None => schema,
    };
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{path}: the schema takes any name");
    let Some(fields) = value.as_object() else { return };
    let known: BTreeSet<&str> = properties.keys().map(String::as_str).filter(|name| *name != "global").collect();
    let there: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
    // Kubernetes' own shapes have fields that no default sets.
    let missing: Vec<_> = there.difference(&known).collect();
    assert!(missing.is_empty(), "{path}: values.yaml has {missing:?}, which the schema does not");
    if !["/resources", "/affinity"].contains(&path) {
        let more: Vec<_> = known.difference(&there).collect();
        assert!(more.is_empty(), "{path}: the schema has {more:?}, which values.yaml does not");
    }
    for (name, field) in fields {
        compare(root, &properties[name], field, &format!("{path}/{name}"));
    }
}
