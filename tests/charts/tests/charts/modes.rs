//! Ways in which the chart is installed; tests that hold of every one go through this table.

use serde_json::{Value, json};
use temper_chart_tests::{Helm, Manifest};

/// A way to install the chart.
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) values: Value,
}

/// Helm, for a release `temper` in `temper-system`.
pub(crate) fn helm() -> Helm {
    Helm::find().unwrap_or_else(|error| panic!("{error}"))
}

/// What the chart makes with these values.
pub(crate) fn render(values: &Value) -> Vec<Manifest> {
    helm().template(values).unwrap_or_else(|error| panic!("Helm refuses {values}: {error}"))
}

/// The one object of a kind and name.
pub(crate) fn one<'a>(manifests: &'a [Manifest], kind: &str, name: &str) -> &'a Manifest {
    let found: Vec<_> = manifests.iter().filter(|manifest| manifest.kind() == kind && manifest.name() == name).collect();
    let [manifest] = found[..] else { panic!("{} objects {kind} {name} among {:?}", found.len(), names(manifests)) };
    manifest
}

/// Kind and name of each.
pub(crate) fn names(manifests: &[Manifest]) -> Vec<String> {
    manifests.iter().map(|manifest| format!("{} {}", manifest.kind(), manifest.name())).collect()
}

/// Every way.
pub(crate) fn all() -> Vec<Mode> {
    let digest = format!("sha256:{}", "0".repeat(64));
    vec![
        Mode { name: "defaults", values: json!({}) },
        Mode { name: "one namespace", values: json!({ "watchNamespace": "team-a" }) },
        Mode {
            name: "everything on",
            values: json!({
                "commonLabels": { "cost-center": "ml" },
                "imagePullSecrets": [{ "name": "registry" }],
                "image": { "digest": digest },
                "trainer": {
                    "image": { "repository": "registry.example.com:5000/temper/trainer", "digest": digest, "pullPolicy": "Always" },
                    "metricsFrom": ["monitoring", "observability"],
                    "env": { "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".svc,.cluster.local" },
                },
                "serviceAccount": { "name": "operator", "annotations": { "example.com/role": "temper" } },
                "runVolume": { "size": "1Ti", "storageClassName": "fast.nfs" },
                "otlp": { "endpoint": "http://otel-collector.monitoring:4318" },
                "extraEnv": [{ "name": "HTTPS_PROXY", "value": "http://proxy:3128" }],
                "priorityClassName": "system-cluster-critical",
                "nodeSelector": { "kubernetes.io/os": "linux" },
                "tolerations": [{ "key": "dedicated", "operator": "Exists", "effect": "NoSchedule" }],
                "affinity": { "nodeAffinity": {} },
                "podAnnotations": { "example.com/a": "b" },
                "podLabels": { "team": "ml" },
                "service": { "annotations": { "example.com/a": "b" } },
                "networkPolicy": {
                    "kubeletCIDRs": ["10.0.0.0/16"],
                    "apiServerCIDRs": ["10.0.0.1/32"],
                    "extraEgress": [{ "ports": [{ "port": 3128, "protocol": "TCP" }] }],
                },
                "monitoring": { "enabled": true, "labels": { "release": "prometheus" }, "prometheusRule": { "labels": { "team": "ml" } } },
                "dashboards": { "enabled": true, "annotations": { "grafana_folder": "Temper" } },
            }),
        },
        Mode {
            name: "everything off",
            values: json!({
                "replicaCount": 1,
                "trainer": { "metricsFrom": [], "podsWithoutUser": true },
                "crds": { "enabled": false },
                "serviceAccount": { "create": false, "name": "mine" },
                "rbac": { "create": false },
                "runAsUser": null,
                "resources": {},
                "topologySpreadConstraints": [],
                "podDisruptionBudget": { "enabled": false },
                "networkPolicy": { "enabled": false },
                "monitoring": { "enabled": false },
            }),
        },
        Mode {
            name: "one namespace with everything watched",
            values: json!({
                "watchNamespace": "team-a",
                "fullnameOverride": "tuning",
                "monitoring": { "enabled": true },
                "dashboards": { "enabled": true },
                "networkPolicy": { "metricsFrom": [], "dnsTo": [] },
            }),
        },
    ]
}
