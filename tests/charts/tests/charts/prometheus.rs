//! A real Prometheus and its tool.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that says in which folder they are.
const TEMPER_PROMETHEUS_BIN: &str = "TEMPER_PROMETHEUS_BIN";
const ADVICE: &str = "run: make setup-charts && eval \"$(make -s env)\"";

/// The path of `prometheus` or `promtool`.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os(TEMPER_PROMETHEUS_BIN).unwrap_or_else(|| panic!("{TEMPER_PROMETHEUS_BIN} is not set; {ADVICE}"));
    let path = PathBuf::from(folder).join(name);
    assert!(path.is_file(), "{} is not there; {ADVICE}", path.display());
    path
}

/// Runs promtool in a folder; its output, or what it complains of.
pub(crate) fn promtool(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program("promtool")).args(arguments).current_dir(folder).output().expect("promtool can be started");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(said) } else { Err(said) }
}
