//! What the chart makes in each of its ways.

use crate::modes::{all, helm, names, one, render};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use temper_chart_tests::repository;

#[test]
fn helm_finds_nothing_wrong_in_any_mode() {
    for mode in all() {
        let said = helm().lint(&mode.values).unwrap_or_else(|error| panic!("{}: {error}", mode.name));
        assert!(said.contains("0 chart(s) failed"), "{}: {said}", mode.name);
    }
}

#[test]
fn the_default_installation_is_complete() {
    let expected = [
        "NetworkPolicy temper-operator",
        "PodDisruptionBudget temper-operator",
        "ServiceAccount temper-operator",
        "CustomResourceDefinition finetunejobs.temper.dev",
        "CustomResourceDefinition modelversions.temper.dev",
        "ClusterRole temper-edit",
        "ClusterRole temper-view",
        "ClusterRole temper-operator",
        "ClusterRoleBinding temper-operator",
        "Role temper-operator-leader",
        "RoleBinding temper-operator-leader",
        "Service temper-operator",
        "Deployment temper-operator",
        "Pod temper-test",
    ];
    let made = names(&render(&json!({})));
    assert_eq!(made.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(expected), "in the order {made:?}");
}

#[test]
fn what_is_turned_off_is_not_made() {
    let off = all().into_iter().find(|mode| mode.name == "everything off").expect("it is in the table");
    assert_eq!(names(&render(&off.values)), ["Service temper-operator", "Deployment temper-operator", "Pod temper-test"]);
}

#[test]
fn one_namespace_means_nothing_of_the_cluster_but_crds() {
    for namespaced in all().into_iter().filter(|mode| mode.values.get("watchNamespace").is_some()) {
        let manifests = render(&namespaced.values);
        let of_the_cluster: Vec<&str> =
            manifests.iter().map(|manifest| manifest.kind()).filter(|kind| kind.starts_with("Cluster")).collect();
        assert_eq!(of_the_cluster, [""; 0], "{}", namespaced.name);
        let namespaces: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.namespace()).collect();
        assert_eq!(namespaces, BTreeSet::from(["", "team-a", "temper-system"]));
        let without: BTreeSet<&str> =
            manifests.iter().filter(|manifest| manifest.namespace().is_empty()).map(|manifest| manifest.kind()).collect();
        assert_eq!(without, BTreeSet::from(["CustomResourceDefinition"]));
    }
}

/// Helm deletes what it made at uninstall, and with a CRD every resource of its kind.
#[test]
fn crds_are_those_of_the_types_and_stay_when_the_chart_goes() {
    let manifests = render(&json!({ "commonLabels": { "team": "ml" } }));
    for (_, crd) in temper_crds::crd::all() {
        let name = crd["metadata"]["name"].as_str().expect("a CRD has a name");
        let rendered = one(&manifests, "CustomResourceDefinition", name);
        assert_eq!(rendered.at("/spec"), &crd["spec"], "{name}");
        assert_eq!(rendered.text("/metadata/annotations/helm.sh~1resource-policy"), "keep");
        assert_eq!(rendered.text("/metadata/labels/team"), "ml");
    }
    let folder = repository::path("charts/temper/crds");
    assert!(!folder.exists(), "Helm never upgrades what lies in crds/: the CRDs are templates");
}

#[test]
fn every_object_says_what_it_belongs_to() {
    for mode in all() {
        let labels = mode.values["commonLabels"].as_object().cloned().unwrap_or_default();
        for manifest in render(&mode.values) {
            let what = format!("{}: {} {}", mode.name, manifest.kind(), manifest.name());
            assert_eq!(manifest.text("/metadata/labels/app.kubernetes.io~1part-of"), "temper", "{what}");
            assert!(!manifest.text("/metadata/labels/helm.sh~1chart").is_empty(), "{what}");
            for (name, value) in &labels {
                assert_eq!(&manifest.0["metadata"]["labels"][name], value, "{what}");
            }
        }
    }
}

/// Prometheus often runs in another namespace than the chart guesses, and then the operator looks as if it were down.
#[test]
fn the_notes_say_from_where_the_operator_can_be_scraped() {
    let notes = |values: Value| helm().notes(&values).expect("notes");
    let said = notes(json!({ "monitoring": { "enabled": true } }));
    assert!(said.contains("networkPolicy.metricsFrom") && said.contains("\"monitoring\"") && said.contains("TemperOperatorDown"), "{said}");
    let by_hand = notes(json!({ "monitoring": { "enabled": true, "serviceMonitor": { "enabled": false } } }));
    assert!(by_hand.contains("networkPolicy.metricsFrom") && !by_hand.contains("TemperOperatorDown"), "{by_hand}");
    let open = json!({ "monitoring": { "enabled": true }, "networkPolicy": { "enabled": false } });
    for values in [json!({ "monitoring": { "enabled": false } }), open] {
        assert!(!notes(values.clone()).contains("networkPolicy.metricsFrom"), "{values}");
    }
}

/// A Deployment's selector can never be changed, so no value but the names may reach it.
#[test]
fn selectors_are_stable_and_select_the_pods() {
    let plain = one(&render(&json!({})), "Deployment", "temper-operator").at("/spec/selector").clone();
    let changed =
        json!({ "commonLabels": { "a": "b", "app.kubernetes.io/component": "x" }, "podLabels": { "app.kubernetes.io/name": "x" } });
    let manifests = render(&changed);
    let deployment = one(&manifests, "Deployment", "temper-operator");
    assert_eq!(deployment.at("/spec/selector"), &plain);
    let wanted = plain["matchLabels"].as_object().expect("labels");
    for (name, value) in wanted {
        assert_eq!(&deployment.at("/spec/template/metadata/labels")[name], value, "a value may add labels and change none of these");
    }
    assert_eq!(one(&manifests, "Service", "temper-operator").at("/spec/selector").as_object(), Some(wanted));
    assert_eq!(one(&manifests, "PodDisruptionBudget", "temper-operator").at("/spec/selector/matchLabels").as_object(), Some(wanted));
}

#[test]
fn monitoring_comes_with_the_api_that_it_needs() {
    let kinds = |helm: temper_chart_tests::Helm, enabled: Value| {
        let manifests = helm.template(&json!({ "monitoring": { "enabled": enabled } })).expect("the chart renders");
        let made = ["ServiceMonitor", "PodMonitor", "PrometheusRule"].map(|kind| manifests.iter().any(|manifest| manifest.kind() == kind));
        assert!(made.iter().all(|kind| *kind == made[0]), "all or none: {made:?}");
        made[0]
    };
    let serving = || helm().serving("monitoring.coreos.com/v1");
    let table = [
        (kinds(helm(), json!("auto")), false),
        (kinds(serving(), json!("auto")), true),
        (kinds(helm(), json!(true)), true),
        (kinds(serving(), json!(false)), false),
    ];
    for (number, (made, expected)) in table.into_iter().enumerate() {
        assert_eq!(made, expected, "row {number}");
    }
}

#[test]
fn images_are_named_by_digest_or_tag_and_by_the_charts_version_otherwise() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let version = serde_saphyr::from_str::<Value>(&repository::read("charts/temper/Chart.yaml").expect("a chart")).expect("YAML");
    let version = version["appVersion"].as_str().expect("a version").to_owned();
    let table = [
        (json!({}), format!("ghcr.io/temper-dev/temper-operator:{version}"), format!("ghcr.io/temper-dev/temper-trainer:{version}")),
        (
            json!({ "image": { "tag": "1" }, "trainer": { "image": { "tag": "cuda" } } }),
            "ghcr.io/temper-dev/temper-operator:1".to_owned(),
            "ghcr.io/temper-dev/temper-trainer:cuda".to_owned(),
        ),
        (
            json!({ "image": { "tag": "1", "digest": digest }, "trainer": { "image": { "digest": digest } } }),
            format!("ghcr.io/temper-dev/temper-operator@{digest}"),
            format!("ghcr.io/temper-dev/temper-trainer@{digest}"),
        ),
    ];
    for (values, operator, trainer) in table {
        let manifests = render(&values);
        let container = one(&manifests, "Deployment", "temper-operator").at("/spec/template/spec/containers/0").clone();
        assert_eq!(container["image"], operator.as_str());
        assert_eq!(one(&manifests, "Pod", "temper-test").text("/spec/containers/0/image"), operator);
        let trainer = format!("--trainer-image={trainer}");
        assert!(container["args"].as_array().expect("arguments").iter().any(|argument| *argument == trainer.as_str()), "{container}");
    }
    assert_eq!(version, env!("CARGO_PKG_VERSION"), "charts/temper/Chart.yaml names the images of this version");
}

#[test]
fn two_releases_share_no_name() {
    let mut names = BTreeSet::new();
    for (release, namespace) in [("temper", "one"), ("blue", "one"), ("temper", "two")] {
        let values = json!({ "watchNamespace": format!("{release}-{namespace}"), "crds": { "enabled": false } });
        for manifest in helm().release(release, namespace).template(&values).expect("the chart renders") {
            let name = format!("{} {}/{}", manifest.kind(), manifest.namespace(), manifest.name());
            assert!(names.insert(name.clone()), "{name} is made twice");
        }
    }
}

#[test]
fn a_budget_never_holds_up_the_only_replica() {
    let made = |values: Value| render(&values).iter().any(|manifest| manifest.kind() == "PodDisruptionBudget");
    assert!(made(json!({ "replicaCount": 2 })));
    assert!(!made(json!({ "replicaCount": 1 })));
}

#[test]
fn the_notes_say_what_to_do_next_where_the_chart_was_installed() {
    let notes = helm().release("tuning", "ml").notes(&json!({ "watchNamespace": "team-a", "crds": { "enabled": false } })).expect("notes");
    let commands = [
        "kubectl -n ml rollout status deployment/tuning-temper-operator",
        "helm test tuning -n ml",
        "kubectl -n team-a apply -f deploy/samples/finetunejob.yaml",
        "kubectl apply --server-side -f crds/generated",
    ];
    for command in commands {
        assert!(notes.contains(command), "no `{command}` in:\n{notes}");
    }
    for path in notes.split_whitespace().filter(|word| word.starts_with("deploy/") || word.starts_with("crds/")) {
        assert!(repository::path(path).exists(), "the notes name {path}, which is not there");
    }
}
