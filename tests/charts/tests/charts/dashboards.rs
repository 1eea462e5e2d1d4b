//! Dashboards and alerts ask for metrics that are there.

use crate::modes::{one, render};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use temper_chart_tests::generated::dashboards;
use temper_chart_tests::repository;
use temper_contract::metric;
use temper_operator::metrics::table;

/// Names of metrics in queries: ours, and those that every process has.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
    words.filter(|word| word.starts_with("temper_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// Names of series that are exported.
fn exported() -> BTreeSet<String> {
    let trainers = metric::ALL.iter().map(|metric| metric.name);
    let operator = table::OURS.iter().chain(&table::PROCESS).map(|row| row.name);
    let mut all: BTreeSet<String> = trainers.chain(operator).map(str::to_owned).collect();
    let histograms = [metric::STEP_DURATION.name, table::RECONCILE_DURATION.name, table::API_REQUEST_DURATION.name];
    all.extend(histograms.into_iter().flat_map(|name| ["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))));
    all
}

#[test]
fn every_query_names_metrics_that_are_exported() {
    let rules = repository::read("charts/temper/files/rules.yaml").expect("rules");
    let rules: Value = serde_saphyr::from_str(&rules).expect("YAML");
    let alerts = rules["groups"].as_array().expect("groups").iter().flat_map(|group| group["rules"].as_array().expect("rules"));
    let mut queries = dashboards::queries();
    queries.extend(alerts.filter_map(|rule| rule["expr"].as_str().map(str::to_owned)));
    assert!(queries.len() > 40, "{} queries", queries.len());
    for query in queries {
        let unknown: Vec<String> = named(&query).difference(&exported()).cloned().collect();
        assert_eq!(unknown, Vec::<String>::new(), "nobody exports what is asked for in: {query}");
    }
}

#[test]
fn every_metric_of_ours_is_on_a_dashboard() {
    let shown: BTreeSet<String> =
        dashboards::queries().iter().flat_map(|query| named(query)).map(|name| name.trim_end_matches("_bucket").to_owned()).collect();
    let ours = metric::ALL.iter().map(|metric| metric.name).chain(table::OURS.iter().map(|row| row.name));
    let missing: Vec<&str> = ours.filter(|name| !shown.contains(*name)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn grafanas_sidecar_finds_each_dashboard_whole() {
    let manifests = render(&json!({ "dashboards": { "enabled": true } }));
    for name in ["temper-training", "temper-operator"] {
        let map = one(&manifests, "ConfigMap", &format!("temper-dashboard-{name}"));
        assert_eq!(map.text("/metadata/labels/grafana_dashboard"), "1");
        let dashboard: Value = serde_json::from_str(map.text(&format!("/data/{name}.json"))).expect("JSON");
        assert_eq!(dashboard["uid"], name);
        let panels = dashboard["panels"].as_array().expect("panels");
        let ids: BTreeSet<u64> = panels.iter().filter_map(|panel| panel["id"].as_u64()).collect();
        assert_eq!(ids.len(), panels.len(), "each has a number of its own");
        for panel in panels {
            let place = &panel["gridPos"];
            let edge = place["x"].as_u64().expect("x") + place["w"].as_u64().expect("w");
            assert!(edge <= 24, "{}: Grafana has 24 columns", panel["title"]);
            let described = panel["type"] == "row" || !panel["description"].as_str().unwrap_or_default().is_empty();
            assert!(described, "{} has no description", panel["title"]);
        }
    }
}
