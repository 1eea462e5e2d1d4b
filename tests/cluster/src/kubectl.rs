//! kubectl, as a user runs it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::binaries;

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, warnings and errors last.
    pub text: String,
}

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
    let mut command = command(kubeconfig, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("kubectl cannot be started: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that reads nothing may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("kubectl cannot be waited for: {error}"));
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ran { status: output.status, text }
}
