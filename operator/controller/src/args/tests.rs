use super::{OperatorArgs, PodEnvironment, PullPolicy};
use clap::{CommandFactory, Parser};
use std::time::Duration;

fn parse(flags: &[&str]) -> Result<OperatorArgs, clap::Error> {
    let all = ["temper-operator", "--trainer-image", "trainer:1"].into_iter().chain(flags.iter().copied());
    OperatorArgs::try_parse_from(all)?.checked(&PodEnvironment::default())
}

#[test]
fn the_definition_is_sound() {
    OperatorArgs::command().debug_assert();
}

#[test]
fn every_flag_has_an_environment_variable_of_its_name() {
    for argument in OperatorArgs::command().get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())) {
        let flag = argument.get_long().expect("there are only long flags");
        let expected = format!("TEMPER_{}", flag.replace('-', "_").to_uppercase());
        assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(expected.as_str()), "--{flag}");
    }
}

#[test]
fn the_defaults_are_those_of_the_help() {
    let args = parse(&[]).expect("only the image is required");
    assert_eq!(args.election.lease_duration, Duration::from_secs(15));
    assert_eq!(args.election.longest_write(), Duration::from_secs(5));
    assert!(args.election.leader_election);
    assert_eq!(args.jobs.trainer_image_pull_policy, PullPolicy::IfNotPresent);
    assert_eq!((args.cluster.concurrency, args.jobs.scrape_interval), (16, Duration::from_secs(15)));
    assert_eq!(args.observability.http_address.to_string(), "0.0.0.0:8080");
    assert!(!args.jobs.pods_without_user && parse(&["--pods-without-user", "true"]).is_ok_and(|args| args.jobs.pods_without_user));
}

#[test]
fn what_is_wrong_is_said_with_its_flag() {
    let table: [(&[&str], &str); 11] = [
        (&["--lease-duration", "1500ms"], "whole seconds"),
        (&["--lease-renew-deadline", "15s"], "less than --lease-duration"),
        (&["--lease-retry-period", "6s"], "at most half"),
        (&["--lease-duration", "fast"], "--lease-duration"),
        (&["--scrape-interval", "10ms"], "at least 1s"),
        (&["--run-volume-size", "big"], "such as 50Gi"),
        (&["--namespace", "Not A Name"], "lowercase"),
        (&["--concurrency", "0"], "--concurrency"),
        (&["--metrics-namespace", "Monitoring"], "--metrics-namespace"),
        (&["--pod-env", "MASTER_ADDR=x"], "MASTER_ADDR=x' for '--pod-env"),
        (&["--trainer-image-pull-policy", "Sometimes"], "IfNotPresent"),
    ];
    for (flags, said) in table {
        let error = parse(flags).expect_err("it is wrong").to_string();
        assert!(error.contains(said), "{flags:?}: {error}");
    }
    let none = OperatorArgs::try_parse_from(["temper-operator"]).expect_err("the image is required").to_string();
    assert!(none.contains("--trainer-image"), "{none}");
}

#[test]
fn what_looks_like_a_secret_is_refused_and_not_shown() {
    for name in ["HF_TOKEN", "AZURE_STORAGE_KEY", "proxy_password"] {
        let variable = format!("{name}=canary");
        let error = parse(&["--pod-env", &variable]).expect_err(name).to_string();
        assert!(error.contains(&format!("--pod-env {name}")) && error.contains("secretRef") && !error.contains("canary"), "{error}");
    }
}

#[test]
fn what_may_be_given_more_than_once_adds_up() {
    let args = parse(&[
        "--metrics-namespace",
        "monitoring",
        "--metrics-namespace=prometheus,grafana",
        "--pod-env",
        "NO_PROXY=.svc,10.0.0.0/8",
        "--pod-env=HF_ENDPOINT=https://hub.example.com",
    ]);
    let jobs = args.expect("they are right").jobs;
    assert_eq!(jobs.metrics_namespaces, ["monitoring", "prometheus", "grafana"]);
    let variables = [("NO_PROXY", ".svc,10.0.0.0/8"), ("HF_ENDPOINT", "https://hub.example.com")];
    assert_eq!(jobs.pod_environment, variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn the_last_of_two_equal_flags_counts() {
    let args = parse(&["--concurrency", "2", "--concurrency", "3"]).expect("the chart's extraArgs come last");
    assert_eq!(args.cluster.concurrency, 3);
}

#[test]
fn flags_win_over_the_pods_environment() {
    let pod = PodEnvironment { name: Some("pod-1".to_owned()), namespace: Some("temper-system".to_owned()) };
    let checked = |flags: &[&str]| {
        let all = ["temper-operator", "--trainer-image", "trainer:1"].into_iter().chain(flags.iter().copied());
        OperatorArgs::try_parse_from(all).expect("they are right").checked(&pod).expect("they are right")
    };
    let from_pod = checked(&[]);
    assert_eq!((from_pod.identity().as_str(), from_pod.election.lease_namespace.as_deref()), ("pod-1", Some("temper-system")));
    let from_flags = checked(&["--identity", "me", "--lease-namespace", "ml"]);
    assert_eq!((from_flags.identity().as_str(), from_flags.election.lease_namespace.as_deref()), ("me", Some("ml")));
    assert_ne!(parse(&[]).expect("right").identity(), "", "somebody without a name gets one");
}
