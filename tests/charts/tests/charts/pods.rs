//! The pods that the chart makes.

use crate::modes::{all, one, render};
use serde_json::{Value, json};
use temper_chart_tests::{Manifest, repository};
use temper_policy::hardening::{self, ApiAccess};
use temper_policy::pod_security;

fn violations(pod: &Value, api_access: ApiAccess) -> Vec<String> {
    let mut found = pod_security::violations(pod);
    found.extend(hardening::violations(pod, api_access));
    found
}

#[test]
fn every_pod_passes_the_restricted_level_and_our_rules_in_every_mode() {
    for mode in all() {
        let manifests = render(&mode.values);
        let pods: Vec<(&str, &Value)> = manifests.iter().filter_map(|manifest| Some((manifest.name(), manifest.pod()?))).collect();
        assert_eq!(pods.len(), 2, "{}: the operator's and the test's", mode.name);
        for (name, pod) in pods {
            assert_eq!(violations(pod, ApiAccess::Needed), [""; 0], "{}: {name}", mode.name);
        }
    }
}

#[test]
fn the_samples_loader_passes_them_too() {
    let manifests = Manifest::parse(&repository::read("deploy/samples/cluster/loader.yaml").expect("a sample")).expect("YAML");
    assert_eq!(violations(&one(&manifests, "Pod", "loader").0, ApiAccess::None), [""; 0]);
}

#[test]
fn the_operator_has_probes_resources_and_a_place_of_its_own() {
    let manifests = render(&json!({}));
    let deployment = one(&manifests, "Deployment", "temper-operator");
    assert_eq!(deployment.at("/spec/replicas"), 2);
    let spec = deployment.at("/spec/template/spec");
    let container = &spec["containers"][0];
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")] {
        assert_eq!((&container[probe]["httpGet"]["path"], &container[probe]["httpGet"]["port"]), (&json!(path), &json!("http")), "{probe}");
    }
    assert!(container["resources"]["requests"]["memory"].is_string() && container["resources"]["limits"]["memory"].is_string());
    let spread = spec["topologySpreadConstraints"].as_array().expect("constraints");
    let labels = &deployment.at("/spec/selector/matchLabels");
    let keys: Vec<&str> = spread.iter().filter_map(|constraint| constraint["topologyKey"].as_str()).collect();
    assert_eq!(keys, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    assert!(spread.iter().all(|constraint| constraint["labelSelector"]["matchLabels"] == **labels), "{spread:?}");
}

/// 5 s after it was asked to stop the leader has given its office back; what runs gets 20.
#[test]
fn the_grace_period_outlasts_the_operators_own() {
    let manifests = render(&json!({}));
    let grace = one(&manifests, "Deployment", "temper-operator").at("/spec/template/spec/terminationGracePeriodSeconds").as_u64();
    assert!(grace >= Some(30), "{grace:?}");
}

#[test]
fn where_the_platform_chooses_users_none_is_named() {
    let manifests = render(&json!({ "runAsUser": null }));
    for name in ["/spec/template/spec/securityContext/runAsUser", "/spec/template/spec/securityContext/runAsGroup"] {
        assert!(one(&manifests, "Deployment", "temper-operator").at(name).is_null(), "{name}");
    }
    let manifests = render(&json!({}));
    assert_eq!(one(&manifests, "Deployment", "temper-operator").at("/spec/template/spec/securityContext/runAsUser"), 65532);
}
