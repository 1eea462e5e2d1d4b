//! kubectl, as a user runs it.

use std::path::Path;
use std::process::Command;

use crate::binaries;
use crate::ran::{Ran, run};

/// A kubectl command that has yet to be started.
pub fn command(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries::kubernetes("kubectl"));
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
    // It would keep what the server offers in the home folder otherwise.
    command.env("KUBECACHEDIR", kubeconfig.with_extension("cache"));
    command
}

/// Runs kubectl with a kubeconfig; `input` is what `-f -` reads.
///
/// # Panics
/// When it cannot be started.
pub fn kubectl(kubeconfig: &Path, arguments: &[&str], input: &str) -> Ran {
    run(command(kubeconfig, arguments), input)
}
