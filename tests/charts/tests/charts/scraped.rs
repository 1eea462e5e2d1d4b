//! A real Prometheus loads the rules and scrapes the real operator, which has no rights but those of the chart.

use crate::alerts::rules;
use crate::api_server::apply;
use crate::modes::helm;
use crate::prometheus;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use temper_chart_tests::repository;
use temper_cluster_tests::operator::OperatorOptions;
use temper_cluster_tests::process::Process;
use temper_cluster_tests::{ControlPlane, Namespace, http, loopback, wait};
use temper_crds::FineTuneJob;
use temper_operator::metrics::table;
use tempfile::TempDir;

/// A running Prometheus.
struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one with the chart's rules that scrapes one operator, as the ServiceMonitor would have it.
    fn start(operator: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).expect("it can be written");
        write("rules.yaml", rules(json!({})).to_string());
        let target = json!({ "targets": [operator.to_string()], "labels": { "namespace": "temper-system", "pod": "operator-0" } });
        let scrape = json!({ "job_name": "temper-operator", "static_configs": [target] });
        let global = json!({ "scrape_interval": "1s", "evaluation_interval": "1s" });
        write("prometheus.yaml", json!({ "global": global, "rule_files": ["rules.yaml"], "scrape_configs": [scrape] }).to_string());
        let address = loopback::port(loopback::address());
        let arguments = [
            format!("--config.file={}", folder.path().join("prometheus.yaml").display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        let process = Process::start("prometheus", &prometheus::program("prometheus"), &arguments, &folder.path().join("log"));
        Self { address, _process: process, _folder: folder }
    }

    async fn ask(&self, path: &str) -> Result<Value, String> {
        let answer = http::get(self.address, path).await?;
        let value: Value = serde_json::from_str(&answer.text).map_err(|error| format!("{error}: {}", answer.text))?;
        if value["status"] == "success" { Ok(value["data"].clone()) } else { Err(value.to_string()) }
    }

    /// The names of all series that it has.
    async fn names(&self) -> Result<BTreeSet<String>, String> {
        let names = self.ask("/api/v1/label/__name__/values").await?;
        Ok(names.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

#[tokio::test]
async fn prometheus_loads_the_rules_and_scrapes_an_operator_with_the_charts_rights() {
    let namespace = Namespace::create("scraped").await;
    let client = ControlPlane::shared().admin();
    let values = json!({ "watchNamespace": namespace.name() });
    let manifests = helm().release("temper", namespace.name()).template(&values).expect("the chart renders");
    for manifest in manifests.iter().filter(|manifest| ["ServiceAccount", "Role", "RoleBinding"].contains(&manifest.kind())) {
        apply(&client, manifest).await;
    }
    let account = namespace.token("temper-operator").await;
    let mut operator = OperatorOptions::new(&namespace, &account).start();
    operator.ready().await;
    // A job that waits: counting begins with the first.
    let sample = repository::read("deploy/samples/finetunejob.yaml").expect("the sample");
    let mut job: Value = serde_saphyr::from_str(&sample).expect("YAML");
    job["spec"]["suspend"] = json!(true);
    namespace.create_object::<FineTuneJob>(job).await;

    let prometheus = Prometheus::start(operator.address());
    // What counts errors has nothing to tell yet.
    let silent = [table::MISSING_CRDS, table::SCRAPES].map(|row| row.name.to_owned());
    let bucket = |row: &table::Row| if row.kind == table::Kind::Histogram { format!("{}_bucket", row.name) } else { row.name.to_owned() };
    let expected: BTreeSet<String> = table::OURS.iter().map(bucket).filter(|name| !silent.contains(name)).collect();
    wait::eventually(wait::PATIENCE, "every metric of the operator is in Prometheus", async || {
        let names = prometheus.names().await?;
        let missing: Vec<&String> = expected.difference(&names).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("missing: {missing:?}")) }
    })
    .await;
    wait::eventually(wait::PATIENCE, "every rule is evaluated", async || {
        let data = prometheus.ask("/api/v1/rules").await?;
        let rules: Vec<&Value> =
            data["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array().into_iter().flatten()).collect();
        let ill: Vec<&&Value> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
        if rules.len() > 10 && ill.is_empty() { Ok(()) } else { Err(format!("{} rules, of which not well: {ill:?}", rules.len())) }
    })
    .await;
    wait::eventually(wait::PATIENCE, "one leads, and nothing is wrong with the operator", async || {
        let leaders = prometheus.ask("/api/v1/query?query=temper_operator_leader").await?;
        let alerts = prometheus.ask("/api/v1/alerts").await?;
        let leads = leaders["result"][0]["value"][1] == "1";
        if leads && alerts["alerts"] == json!([]) { Ok(()) } else { Err(format!("{leaders} {alerts}")) }
    })
    .await;
}
