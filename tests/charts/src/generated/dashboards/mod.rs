//! Grafana dashboards, from short descriptions: the names of metrics are the constants that the programs export them by.

mod grafana;
mod operator;
mod training;

use super::File;
use grafana::Dashboard;

pub(super) fn files() -> anyhow::Result<Vec<File>> {
    [training::dashboard(), operator::dashboard()].iter().map(file).collect()
}

fn file(dashboard: &Dashboard) -> anyhow::Result<File> {
    let text = serde_json::to_string_pretty(&dashboard.to_json())?;
    Ok(File::new(format!("charts/temper/files/dashboards/{}.json", dashboard.name), text + "\n"))
}

/// Every query of every dashboard, for tests.
pub fn queries() -> Vec<String> {
    [training::dashboard(), operator::dashboard()].iter().flat_map(Dashboard::queries).collect()
}
