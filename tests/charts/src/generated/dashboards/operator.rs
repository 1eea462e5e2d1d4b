//! What the operator does: its own metrics.

use super::grafana::{Dashboard, Panel, Row, Variable};
use temper_operator::metrics::table::{
    API_REQUEST_DURATION, API_REQUESTS, BUILD_INFO, FINETUNEJOBS, LEADER, MISSING_CRDS, QUEUE_DEPTH, READY, RECONCILE_DURATION, RECONCILES,
    RECONCILES_RUNNING, Row as Metric, SCRAPES,
};

const CHOSEN: &str = r#"namespace=~"$namespace""#;
const RATE: &str = "[$__rate_interval]";

fn all(metric: Metric) -> String {
    format!("{}{{{CHOSEN}}}", metric.name)
}

/// The rate of a counter, by labels.
fn rate(metric: Metric, by: &str) -> String {
    format!("sum by ({by}) (rate({}{RATE}))", all(metric))
}

fn quantile(metric: Metric, quantile: &str, by: &str) -> String {
    format!("histogram_quantile({quantile}, sum by (le, {by}) (rate({}_bucket{{{CHOSEN}}}{RATE})))", metric.name)
}

/// A metric that every process has; the operator's are told by its build information.
fn process(name: &str) -> String {
    format!("{name} and on (namespace, pod) {}", all(BUILD_INFO))
}

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        name: "temper-operator",
        title: "Temper / Operator",
        variables: vec![Variable {
            name: "namespace",
            label: "Operator's namespace",
            query: format!("label_values({}, namespace)", BUILD_INFO.name),
        }],
        rows: vec![
            Row {
                title: "State",
                height: 5,
                panels: vec![
                    Panel::stat("Replicas", "short", "That answer.", format!("count({})", all(BUILD_INFO))),
                    Panel::stat("Leaders", "short", "One is right.", format!("sum({})", all(LEADER))),
                    Panel::stat(
                        "Not ready",
                        "short",
                        "Conditions of readiness that are not met.",
                        format!("count({} == 0) or vector(0)", all(READY)),
                    ),
                    Panel::stat("Missing CRDs", "short", "Zero is right.", format!("count({}) or vector(0)", all(MISSING_CRDS))),
                    Panel::stat("Jobs", "short", "FineTuneJobs that the leader knows.", format!("sum({})", all(FINETUNEJOBS))),
                ],
            },
            Row {
                title: "Jobs",
                height: 9,
                panels: vec![
                    Panel::curves(
                        "Jobs by state",
                        "short",
                        "By the reason of their condition Ready.",
                        vec![(format!("sum by (reason) ({})", all(FINETUNEJOBS)), "{{reason}}")],
                    ),
                    Panel::curves("Scrapes of trainers", "ops", "By outcome.", vec![(rate(SCRAPES, "outcome"), "{{outcome}}")]),
                ],
            },
            Row {
                title: "Reconciles",
                height: 8,
                panels: vec![
                    Panel::curves("Reconciles", "ops", "By outcome.", vec![(rate(RECONCILES, "outcome"), "{{outcome}}")]),
                    Panel::curves(
                        "Duration",
                        "s",
                        "Median and 99th percentile.",
                        vec![
                            (quantile(RECONCILE_DURATION, "0.5", "kind"), "{{kind}} p50"),
                            (quantile(RECONCILE_DURATION, "0.99", "kind"), "{{kind}} p99"),
                        ],
                    ),
                    Panel::curves(
                        "Queue",
                        "short",
                        "What waits and what runs.",
                        vec![
                            (format!("sum by (kind) ({})", all(QUEUE_DEPTH)), "{{kind}} waiting"),
                            (format!("sum({})", all(RECONCILES_RUNNING)), "running"),
                        ],
                    ),
                ],
            },
            Row {
                title: "API server",
                height: 8,
                panels: vec![
                    Panel::curves(
                        "Requests",
                        "ops",
                        "By verb and resource.",
                        vec![(rate(API_REQUESTS, "verb, resource"), "{{verb}} {{resource}}")],
                    ),
                    Panel::curves(
                        "Requests refused or unanswered",
                        "ops",
                        "By outcome.",
                        vec![(
                            format!("sum by (outcome) (rate({}{{{CHOSEN}, outcome!~\"2..\"}}{RATE}))", API_REQUESTS.name),
                            "{{outcome}}",
                        )],
                    ),
                    Panel::curves(
                        "Latency",
                        "s",
                        "99th percentile by verb.",
                        vec![(quantile(API_REQUEST_DURATION, "0.99", "verb"), "{{verb}}")],
                    ),
                ],
            },
            Row {
                title: "Process",
                height: 8,
                panels: vec![
                    Panel::curves("Memory", "bytes", "Resident.", vec![(process("process_resident_memory_bytes"), "{{pod}}")]),
                    Panel::curves(
                        "CPU",
                        "percentunit",
                        "Of one core.",
                        vec![(format!("rate(process_cpu_seconds_total{RATE}) and on (namespace, pod) {}", all(BUILD_INFO)), "{{pod}}")],
                    ),
                    Panel::curves("Leader", "short", "1 while a replica leads.", vec![(all(LEADER), "{{pod}}")]),
                ],
            },
        ],
    }
}
