//! What fires when. Prometheus' own tool runs the rules over made-up series, one value a minute.

mod cases;

use crate::modes::{helm, one, render};
use crate::prometheus::promtool;
use cases::cases;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use temper_chart_tests::repository;
use temper_operator::metrics::table;

/// The rules as the chart makes them with its default values, but for `more`.
pub(crate) fn rules(more: Value) -> Value {
    let mut values = json!({ "monitoring": { "enabled": true } });
    values["monitoring"]["prometheusRule"] = more;
    let manifests = helm().template(&values).unwrap_or_else(|error| panic!("{error}"));
    one(&manifests, "PrometheusRule", "temper").at("/spec").clone()
}

/// Every alert.
fn alerts(rules: &Value) -> Vec<&Value> {
    rules["groups"].as_array().expect("groups").iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect()
}

/// The labels that tell alerts of one name apart.
const TOLD_APART: &str = "alertname, namespace, job_name, pod, reason, condition, resource, verb";

fn expected(firing: &str) -> Value {
    let mut words = firing.split(' ');
    let name = words.next().unwrap_or_default();
    let labels: String = words.map(|label| label.replacen('=', "=\"", 1)).map(|label| format!(",{label}\"")).collect();
    json!({ "labels": format!("{{alertname=\"{name}\"{labels}}}"), "value": 1 })
}

#[test]
fn alerts_fire_when_they_should_and_not_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), rules(json!({})).to_string()).expect("it can be written");
    let tests: Vec<Value> = cases()
        .iter()
        .map(|case| {
            let series: Vec<Value> = case.series.iter().map(|(series, values)| json!({ "series": series, "values": values })).collect();
            let samples: Vec<Value> = case.firing.iter().map(|firing| expected(firing)).collect();
            let query = format!("count by ({TOLD_APART}) (ALERTS{{alertstate=\"firing\"}})");
            let question = json!({ "expr": query, "eval_time": format!("{}m", case.minute), "exp_samples": samples });
            json!({ "name": case.name, "interval": "1m", "input_series": series, "promql_expr_test": [question] })
        })
        .collect();
    let file = json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests });
    std::fs::write(folder.path().join("test.yaml"), file.to_string()).expect("it can be written");
    promtool(folder.path(), &["test", "rules", "test.yaml"]).unwrap_or_else(|said| panic!("{said}"));
}

#[test]
fn each_alert_has_a_case_in_which_it_fires() {
    let rules = rules(json!({}));
    let names: BTreeSet<&str> = alerts(&rules).into_iter().filter_map(|alert| alert["alert"].as_str()).collect();
    let cases = cases();
    let fired: BTreeSet<&str> = cases.iter().flat_map(|case| case.firing).filter_map(|firing| firing.split(' ').next()).collect();
    assert_eq!(names, fired);
}

#[test]
fn prometheus_tool_finds_nothing_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), rules(json!({})).to_string()).expect("it can be written");
    let said =
        promtool(folder.path(), &["check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"]).unwrap_or_else(|said| panic!("{said}"));
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn each_alert_says_what_it_means_and_what_to_do() {
    let rules = rules(json!({}));
    let cases = cases();
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for firing in cases.iter().flat_map(|case| case.firing) {
        let mut words = firing.split(' ');
        let known = labels.entry(words.next().unwrap_or_default()).or_default();
        known.extend(words.filter_map(|label| label.split_once('=')).map(|(name, _)| name));
    }
    for alert in alerts(&rules) {
        let name = alert["alert"].as_str().expect("a name");
        let severity = alert["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning")), "{name}: {severity:?}");
        for annotation in ["summary", "description", "runbook"] {
            let text = alert["annotations"][annotation].as_str().unwrap_or_default();
            assert!(text.len() > 20, "{name} has no {annotation}");
            assert!(annotation == "summary" || text.ends_with('.'), "{name}: {text}");
            for (_, rest) in text.match_indices("$labels.").map(|(at, found)| text.split_at(at + found.len())) {
                let label: String = rest.chars().take_while(|character| character.is_ascii_alphanumeric() || *character == '_').collect();
                assert!(
                    labels[name].contains(label.as_str()),
                    "{name}: {annotation} names the label {label}, which the alert does not have"
                );
            }
        }
    }
    let text = rules.to_string();
    for word in ["NO_PROGRESS_SECONDS", "CHECKPOINT_AGE_SECONDS", "OPERATOR_SERVICE", "OPERATOR_NAMESPACE"] {
        assert!(!text.contains(word), "{word} was not replaced");
    }
}

/// The alerts of jobs name states; a state that is renamed would silence them.
#[test]
fn states_in_alerts_are_reasons_that_there_are() {
    let reasons = repository::read("crds/src/condition.rs").expect("the reasons");
    let rules = rules(json!({}));
    let mut looked_at = 0;
    for alert in alerts(&rules) {
        let query = alert["expr"].as_str().expect("a query");
        for (_, rest) in query.match_indices("reason=~\"").map(|(at, found)| query.split_at(at + found.len())) {
            for reason in rest.split('"').next().expect("an end").split('|') {
                looked_at += 1;
                assert!(reasons.contains(&format!("&str = \"{reason}\"")), "{reason} is no reason any more");
            }
        }
    }
    assert!(looked_at > 5, "{looked_at} were looked at");
}

/// The same for the outcomes that count as well.
#[test]
fn outcomes_in_alerts_are_words_of_the_metrics() {
    let rules = rules(json!({}));
    let queries: Vec<&str> = alerts(&rules).into_iter().filter_map(|alert| alert["expr"].as_str()).collect();
    for (metric, matcher, row, word) in [
        ("reconciles", r#"outcome!~"success|conflict""#, table::RECONCILES, "success"),
        ("scrapes", r#"outcome="failure""#, table::SCRAPES, "failure"),
        ("api_requests", r#"outcome="403""#, table::API_REQUESTS, "status code"),
    ] {
        assert!(queries.iter().any(|query| query.contains(metric) && query.contains(matcher)), "no alert asks for {matcher}");
        assert!(row.help.contains(word), "{}: {}", row.name, row.help);
    }
}

/// Nobody scrapes the operator under the label that they look for, so that one of them would fire for ever and the others never.
#[test]
fn without_a_service_monitor_there_are_no_alerts_about_the_operator() {
    let names = |values: &Value| -> BTreeSet<String> {
        let manifests = render(values);
        let rules = one(&manifests, "PrometheusRule", "temper").at("/spec").clone();
        let asks = |alert: &&Value| alert["expr"].as_str().is_some_and(|query| query.contains("job=\"temper-operator\""));
        alerts(&rules).into_iter().filter(asks).filter_map(|alert| alert["alert"].as_str().map(str::to_owned)).collect()
    };
    assert!(names(&json!({ "monitoring": { "enabled": true } })).contains("TemperOperatorDown"));
    // Naming one that is left out anyway is no mistake.
    let rule = json!({ "disabled": ["TemperOperatorDown"] });
    let values = json!({ "monitoring": { "enabled": true, "serviceMonitor": { "enabled": false }, "prometheusRule": rule } });
    assert_eq!(names(&values), BTreeSet::new());
    assert!(!alerts(one(&render(&values), "PrometheusRule", "temper").at("/spec")).is_empty(), "those about jobs stay");
}

#[test]
fn values_change_the_alerts() {
    let changed = rules(json!({
        "disabled": ["TemperOperatorHasTwoLeaders"],
        "labels": { "team": "ml", "severity": "page" },
        "noProgressSeconds": 600,
        "checkpointAgeSeconds": 900,
    }));
    let alerts = alerts(&changed);
    assert!(alerts.iter().all(|alert| alert["alert"] != "TemperOperatorHasTwoLeaders"));
    assert!(alerts.iter().all(|alert| alert["labels"]["team"] == "ml" && alert["labels"]["severity"] == "page"));
    let text = changed.to_string();
    assert!(text.contains("[600s]") && text.contains("> 900") && !text.contains("1800"), "{text}");
    let everything: Vec<String> =
        self::alerts(&rules(json!({}))).iter().filter_map(|alert| alert["alert"].as_str().map(str::to_owned)).collect();
    let groups = rules(json!({ "disabled": everything }));
    assert_eq!(groups["groups"], json!([]), "a group without rules is not made");
}
