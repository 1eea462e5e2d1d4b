//! The folder that keeps runs and the registry, and the names in it.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where everything is that outlives a command.
///
/// ```text
/// HOME/runs/NAME-DIGEST8/        one run: configuration, reports, token cache, checkpoints, logs, output
/// HOME/registry/MODEL/VERSION/   registered versions
/// HOME/locks/                    held while a command works on one of the above
/// HOME/digests.json              digests of input files, by size and time
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The given folder, or the user's default one.
    pub fn find(given: Option<&Path>) -> Result<Self> {
        let root = match given {
            Some(path) => path.to_path_buf(),
            None => default_root(std::env::var_os("XDG_DATA_HOME"), std::env::var_os("HOME"))
                .context("neither --home, TEMPER_HOME, XDG_DATA_HOME nor HOME says where to keep runs")?,
        };
        Ok(Self { root: std::path::absolute(&root).with_context(|| format!("cannot resolve the folder {}", root.display()))? })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a run.
    pub fn run(&self, run_name: &str) -> PathBuf {
        self.root.join("runs").join(run_name)
    }

    /// The folder of the registered models.
    pub fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    /// A lock's file.
    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    /// The digests that are known already.
    pub fn digests(&self) -> PathBuf {
        self.root.join("digests.json")
    }
}

/// `${XDG_DATA_HOME:-~/.local/share}/temper`; an empty variable counts as unset, as the XDG specification says.
fn default_root(data_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let set = |value: Option<OsString>| value.filter(|text| !text.is_empty()).map(PathBuf::from);
    set(data_home).or_else(|| set(home).map(|home| home.join(".local/share"))).map(|data| data.join("temper"))
}

#[cfg(test)]
mod tests {
    use super::default_root;

    #[test]
    fn the_default_follows_the_xdg_specification() {
        assert_eq!(default_root(Some("/data".into()), Some("/home/ann".into())), Some("/data/temper".into()));
        assert_eq!(default_root(Some("".into()), Some("/home/ann".into())), Some("/home/ann/.local/share/temper".into()));
        assert_eq!(default_root(None, None), None);
    }
}
