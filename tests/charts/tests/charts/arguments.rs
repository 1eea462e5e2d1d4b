//! The operator takes the arguments that the chart gives it, and understands them as they are meant.

use crate::modes::{all, one, render};
use clap::Parser;
use serde_json::{Value, json};
use std::time::Duration;
use temper_operator::args::{OperatorArgs, PodEnvironment, PullPolicy};

/// The operator's arguments as its container gets them, with the variables that Kubernetes expands.
fn arguments(values: &Value) -> OperatorArgs {
    let manifests = render(values);
    let name = if values["fullnameOverride"].is_string() { "tuning-operator" } else { "temper-operator" };
    let container = one(&manifests, "Deployment", name).at("/spec/template/spec/containers/0").clone();
    let expanded =
        |argument: &Value| argument.as_str().expect("text").replace("$(POD_NAME)", "pod-1").replace("$(POD_NAMESPACE)", "temper-system");
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
        "trainer": { "image": { "pullPolicy": "Never" } },
        "logFormat": "text",
        "otlp": { "endpoint": "http://collector.monitoring:4318" },
        "extraArgs": ["--concurrency=7"],
    }));
    assert_eq!(args.cluster.concurrency, 7, "extraArgs come last");
    assert_eq!(args.jobs.scrape_interval, Duration::from_secs(60));
    assert_eq!((args.jobs.run_volume_size.to_string().as_str(), args.jobs.run_volume_storage_class.as_deref()), ("2Ti", Some("nfs")));
    assert_eq!(args.jobs.trainer_image_pull_policy, PullPolicy::Never);
    assert_eq!(args.election.timing().lease_duration, Duration::from_secs(60));
    assert_eq!(args.observability.log_format, temper_operator::telemetry::LogFormat::Text);
    assert_eq!(args.observability.otlp_endpoint.as_deref(), Some("http://collector.monitoring:4318"));
}

/// The chart's defaults and the operator's are the same, so that one page documents both.
#[test]
fn the_charts_defaults_are_the_operators() {
    let chart = arguments(&json!({}));
    let own = OperatorArgs::try_parse_from(["temper-operator", "--trainer-image", &chart.jobs.trainer_image])
        .expect("only the image is required");
    assert_eq!((&chart.jobs, &chart.observability), (&own.jobs, &own.observability));
    assert_eq!((chart.cluster.concurrency, chart.election.timing()), (own.cluster.concurrency, own.election.timing()));
    assert_eq!(chart.election.lease_name, own.election.lease_name);
}
