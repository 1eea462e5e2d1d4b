//! Helm, as a user runs it.

use std::path::Path;
use std::process::Command;

use crate::binaries;
use crate::ran::{Ran, run};

/// Runs Helm in a namespace; `input` is what `--values -` reads.
///
/// # Panics
/// When it cannot be started.
pub fn helm(kubeconfig: &Path, namespace: &str, arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(binaries::kubernetes("helm"));
    command.arg("--kubeconfig").arg(kubeconfig).args(["--namespace", namespace]).args(arguments);
    // The user's repositories and plugins have no say in what a test does.
    for (variable, folder) in [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")] {
        command.env(variable, kubeconfig.with_extension("helm").join(folder));
    }
    run(command, input)
}
