//! What `make generate` writes from other files, so that nothing has to be kept equal by hand.

mod argocd;
mod crds;
pub mod dashboards;
mod kustomize;
mod readme;

use crate::{Helm, repository};
use std::path::PathBuf;

/// A file that is generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it lies, from the root of the repository.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

impl File {
    fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// Folders in which every file is generated: one that nothing makes any more is stale.
pub const FOLDERS: [&str; 4] =
    ["charts/temper/files/crds", "charts/temper/files/dashboards", "deploy/kustomize", "deploy/kustomize/monitoring"];

/// The files that are made from sources: the CRDs' copies, the dashboards, the chart's README, Argo CD's settings.
///
/// # Errors
/// When a source cannot be read or used, with what is wrong with it.
pub fn from_sources() -> anyhow::Result<Vec<File>> {
    let mut files = crds::files()?;
    files.extend(dashboards::files()?);
    files.push(readme::file()?);
    files.push(argocd::file()?);
    Ok(files)
}

/// The files that are made from the chart as it lies in the repository: the manifests under `deploy/kustomize`.
///
/// # Errors
/// When Helm refuses the chart.
pub fn from_chart(helm: &Helm) -> anyhow::Result<Vec<File>> {
    kustomize::files(helm)
}

/// Files that lie in the folders of generated files and that none of `made` accounts for.
///
/// # Errors
/// When a folder cannot be listed.
pub fn leftovers(made: &[File]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        for entry in std::fs::read_dir(repository::path(folder))? {
            let entry = entry?;
            let path = PathBuf::from(folder).join(entry.file_name());
            if entry.file_type()?.is_file() && made.iter().all(|file| file.path != path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}
