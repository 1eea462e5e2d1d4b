//! Values that make no sense are refused before anything is installed, with a message that says where and what.

use crate::modes::{helm, one, render};
use clap::Parser;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use temper_chart_tests::repository;
use temper_operator::args::{OperatorArgs, PodEnvironment};

#[test]
fn nonsense_is_refused_by_its_place() {
    let table: [(Value, &[&str]); 33] = [
        (json!({ "replicas": 2 }), &["replicas", "not allowed"]),
        (json!({ "image": { "tags": "x" } }), &["/image", "tags", "not allowed"]),
        (json!({ "trainer": { "repository": "x" } }), &["/trainer", "repository", "not allowed"]),
        (json!({ "trainer": { "metricsFrom": "monitoring" } }), &["/trainer/metricsFrom", "got string, want array"]),
        (json!({ "trainer": { "metricsFrom": ["Monitoring"] } }), &["/trainer/metricsFrom/0", "pattern"]),
        (json!({ "trainer": { "env": [{ "name": "A", "value": "b" }] } }), &["/trainer/env", "got array, want object"]),
        (json!({ "trainer": { "env": { "NO_PROXY": 5 } } }), &["/trainer/env/NO_PROXY", "got number, want string"]),
        (json!({ "trainer": { "podsWithoutUser": "yes" } }), &["/trainer/podsWithoutUser", "got string, want boolean"]),
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
        (json!({ "logLevel": "" }), &["/logLevel", "pattern"]),
        (json!({ "logLevel": "warning" }), &["/logLevel", "pattern"]),
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

/// A duration or size that the operator would refuse at its start is refused before, and none that it tells people to write.
#[test]
fn the_chart_takes_the_durations_and_sizes_that_the_operator_takes() {
    // Flag, value of the chart, and what is taken.
    type Row = (&'static str, &'static str, &'static [(&'static str, bool)]);
    let table: [Row; 5] = [
        (
            "--lease-duration",
            "/leaderElection/leaseDuration",
            &[("1m30s", true), ("15000ms", true), ("15500ms", false), ("20s500ms", false), ("20", false)],
        ),
        ("--lease-renew-deadline", "/leaderElection/renewDeadline", &[("9s500ms", true), ("0s", false), ("soon", false)]),
        ("--lease-retry-period", "/leaderElection/retryPeriod", &[("500ms", true), ("0ms", false), ("", false)]),
        ("--scrape-interval", "/scrapeInterval", &[("1s", true), ("1m", true), ("1m30s", true), ("1500ms", true), ("500ms", false)]),
        (
            "--run-volume-size",
            "/runVolume/size",
            &[("500Mi", true), ("20000Gi", true), ("100Ti", true), ("1Pi", true), ("0Gi", false), ("1000mT", false), ("50 GB", false)],
        ),
    ];
    for (flag, pointer, rows) in table {
        for (text, is_taken) in rows {
            let flags = ["temper-operator".to_owned(), "--trainer-image=x".to_owned(), format!("{flag}={text}")];
            let parsed = OperatorArgs::try_parse_from(flags).and_then(|args| args.checked(&PodEnvironment::default()));
            assert_eq!(parsed.is_ok(), *is_taken, "the operator: {flag}={text}");
            let names = pointer.rsplit('/').filter(|name| !name.is_empty());
            let values = names.fold(json!(text), |inner, name| json!({ name: inner }));
            match helm().template(&values) {
                Ok(_) => assert!(*is_taken, "the chart takes {values}"),
                Err(error) => assert!(!*is_taken && error.to_string().contains(pointer), "{values}: {error}"),
            }
        }
    }
}

/// Of a word that is no level the log would make the name of a module, and say nothing of any other.
#[test]
fn levels_and_filters_of_the_log_reach_the_operator() {
    let quiet = ",kube_client=error,kube_runtime=error";
    let table = [
        ("info", format!("info{quiet}")),
        ("WARN", format!("WARN{quiet}")),
        ("debug", "debug".to_owned()),
        ("off", "off".to_owned()),
        ("info,temper_operator=debug", "info,temper_operator=debug".to_owned()),
        ("temper_operator=trace", "temper_operator=trace".to_owned()),
    ];
    for (level, filter) in table {
        let manifests = render(&json!({ "logLevel": level }));
        let variables = one(&manifests, "Deployment", "temper-operator").at("/spec/template/spec/containers/0/env").clone();
        let found = variables.as_array().expect("variables").iter().find(|variable| variable["name"] == "RUST_LOG");
        assert_eq!(found.expect("it is always set")["value"], filter.as_str(), "{level}");
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
