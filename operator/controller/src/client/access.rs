//! Where the API server is, and what proves who we are.

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::path::{Path, PathBuf};

/// Why the API server's address or our credentials are not known.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file cannot be used.
    #[error("--kubeconfig {}: {reason}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: kube::config::KubeconfigError,
    },
    /// There is no file, and this is no pod.
    #[error("not running in a pod of a cluster ({reason}); name the cluster with --kubeconfig FILE")]
    InCluster {
        /// What is missing.
        reason: kube::config::InClusterError,
    },
}

/// Access by a kubeconfig file, or without one as the service account of the pod that this runs in.
pub async fn access(kubeconfig: Option<&Path>) -> Result<Config, AccessError> {
    let mut config = match kubeconfig {
        Some(path) => from_file(path).await.map_err(|reason| AccessError::Kubeconfig { path: path.to_owned(), reason })?,
        None => Config::incluster().map_err(|reason| AccessError::InCluster { reason })?,
    };
    config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("temper-operator/", env!("CARGO_PKG_VERSION")))));
    Ok(config)
}

async fn from_file(path: &Path) -> Result<Config, kube::config::KubeconfigError> {
    Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default()).await
}

#[cfg(test)]
mod tests {
    use super::access;
    use std::io::Write;

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(b"clusters: 7").expect("it is written");
        for path in [file.path(), std::path::Path::new("/nowhere/kubeconfig")] {
            let error = access(Some(path)).await.expect_err("it is no kubeconfig").to_string();
            assert!(error.starts_with(&format!("--kubeconfig {}: ", path.display())), "{error}");
        }
    }
}
