//! The operator takes the arguments that the chart gives it, and understands them as they are meant.

use crate::modes::{all, one, render};
use clap::Parser;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use temper_chart_tests::Manifest;
use temper_operator::args::{OperatorArgs, PodEnvironment, PullPolicy};
use temper_operator::finetunejob::settings;

/// The operator's arguments as its container gets them.
fn arguments(values: &Value) -> OperatorArgs {
    let name = if values["fullnameOverride"].is_string() { "tuning-operator" } else { "temper-operator" };
    parsed(one(&render(values), "Deployment", name))
}

/// An argument as the container gets it: of `$(NAME)` Kubernetes makes the variable's value, and of two dollars one.
fn expanded(argument: &Value) -> String {
    let parts = argument.as_str().expect("text").split("$$");
    let expanded = parts.map(|part| part.replace("$(POD_NAME)", "pod-1").replace("$(POD_NAMESPACE)", "temper-system"));
    expanded.collect::<Vec<_>>().join("$")
}

/// What the operator makes of the arguments that its Deployment gives it.
pub(crate) fn parsed(deployment: &Manifest) -> OperatorArgs {
    let container = deployment.at("/spec/template/spec/containers/0");
    let texts: Vec<String> = container["args"].as_array().expect("arguments").iter().map(expanded).collect();
    let env: Vec<&str> = container["env"].as_array().expect("variables").iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert!(env.contains(&"POD_NAME") && env.contains(&"POD_NAMESPACE"), "{env:?}");
    let parsed = OperatorArgs::try_parse_from(std::iter::once("temper-operator".to_owned()).chain(texts.iter().cloned()));
    let checked = parsed.and_then(|parsed| parsed.checked(&PodEnvironment::default()));
    checked.unwrap_or_else(|error| panic!("the operator refuses {texts:?}: {error}"))
}

#[test]
fn the_operator_accepts_its_arguments_in_every_mode() {
    for mode in all() {
        let args = arguments(&mode.values);
        assert_eq!(args.cluster.namespace.as_deref(), mode.values["watchNamespace"].as_str(), "{}", mode.name);
        assert_eq!(args.election.lease_namespace.as_deref(), Some("temper-system"));
        assert_eq!((args.identity().as_str(), args.election.leader_election), ("pod-1", true));
        assert_eq!(args.cluster.operator_namespace.as_deref(), Some("temper-system"));
    }
}

#[test]
fn values_reach_the_operator() {
    let args = arguments(&json!({
        "concurrency": 3,
        "scrapeInterval": "1m",
        "runVolume": { "size": "2Ti", "storageClassName": "nfs" },
        "leaderElection": { "leaseDuration": "60s", "renewDeadline": "40s", "retryPeriod": "5s" },
        "trainer": {
            "image": { "pullPolicy": "Never" }, "metricsFrom": ["observability", "other"], "podsWithoutUser": true,
            "env": { "NO_PROXY": "10.0.0.0/8,.svc", "HF_ENDPOINT": "http://hub.example.com", "ODD": "\"$(POD_NAME)\": $5$$" },
        },
        "logFormat": "text",
        "otlp": { "endpoint": "http://collector.monitoring:4318" },
        "extraArgs": ["--concurrency=7"],
    }));
    assert_eq!(args.cluster.concurrency, 7, "extraArgs come last");
    assert_eq!(args.jobs.scrape_interval, Duration::from_secs(60));
    assert_eq!((args.jobs.run_volume_size.to_string().as_str(), args.jobs.run_volume_storage_class.as_deref()), ("2Ti", Some("nfs")));
    assert_eq!(args.jobs.trainer_image_pull_policy, PullPolicy::Never);
    let settings = settings(&args, "temper-system".to_owned());
    assert_eq!(settings.metrics_namespaces, ["observability", "other"]);
    assert!(settings.pods_without_user);
    let variables = [("HF_ENDPOINT", "http://hub.example.com"), ("NO_PROXY", "10.0.0.0/8,.svc"), ("ODD", "\"$(POD_NAME)\": $5$$")];
    assert_eq!(settings.environment, BTreeMap::from(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    assert_eq!(args.election.timing().lease_duration, Duration::from_secs(60));
    assert_eq!(args.observability.log_format, temper_operator::telemetry::LogFormat::Text);
    assert_eq!(args.observability.otlp_endpoint.as_deref(), Some("http://collector.monitoring:4318"));
}

/// The chart's defaults and the operator's are the same, so that one page documents both. Only where Prometheus is, is the chart's guess.
#[test]
fn the_charts_defaults_are_the_operators() {
    let chart = arguments(&json!({}));
    let flags = ["temper-operator", "--metrics-namespace", "monitoring", "--trainer-image", &chart.jobs.trainer_image];
    let own = OperatorArgs::try_parse_from(flags).expect("only the image is required");
    assert_eq!((&chart.jobs, &chart.observability), (&own.jobs, &own.observability));
    assert_eq!((chart.cluster.concurrency, chart.election.timing()), (own.cluster.concurrency, own.election.timing()));
    assert_eq!(chart.election.lease_name, own.election.lease_name);
}
