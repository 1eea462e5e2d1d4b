//! kubectl as the shared control plane's administrator.

use temper_cluster_tests::{ControlPlane, kubectl::kubectl};

/// Whether the command succeeded, and what it printed.
pub(crate) fn as_admin(arguments: &[&str], input: &str) -> (bool, String) {
    let ran = kubectl(&ControlPlane::shared().folder().join("admin.kubeconfig"), arguments, input);
    (ran.status.success(), ran.text)
}
