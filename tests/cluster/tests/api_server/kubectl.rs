//! kubectl, as a user runs it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use temper_cluster_tests::{ControlPlane, binaries};

/// A kubectl command with a kubeconfig and what it reads.
pub(crate) fn kubectl(kubeconfig: &Path, arguments: &[&str], input: &str) -> Output {
    let mut kubectl = Command::new(binaries::kubernetes("kubectl"))
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(arguments)
        // Discovery is cached in the home folder otherwise.
        .env("KUBECACHEDIR", ControlPlane::shared().folder().join("kubectl"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    kubectl.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    kubectl.wait_with_output().unwrap()
}

/// The same as the administrator; what it printed, and whether it succeeded.
pub(crate) fn as_admin(arguments: &[&str], input: &str) -> (bool, String) {
    let output = kubectl(&ControlPlane::shared().folder().join("admin.kubeconfig"), arguments, input);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}
