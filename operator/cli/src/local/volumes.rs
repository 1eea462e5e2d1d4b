//! Storage URIs as paths on this machine: `--volume NAME=FOLDER` stands in for `pvc://NAME`, `--secret NAME=FOLDER` for a Secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use temper_planner::validated::Location;
use temper_planner::{Problem, StorageUri};

/// Folders that stand in for volumes and for Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volumes {
    folders: BTreeMap<String, PathBuf>,
    secrets: BTreeMap<String, PathBuf>,
}

/// Where something that is read is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file or folder of this machine.
    Here(PathBuf),
    /// On a hub or an object store: `prepare` fetches it into the run's folder.
    Elsewhere,
}

impl Input {
    /// Its path, if it is fetched to `fetched`.
    pub fn path(self, fetched: impl FnOnce() -> PathBuf) -> PathBuf {
        match self {
            Self::Here(path) => path,
            Self::Elsewhere => fetched(),
        }
    }
}

impl Volumes {
    /// The folders that the command line gives for volumes and for Secrets; the last of a name counts.
    pub fn new(volumes: &[(String, PathBuf)], secrets: &[(String, PathBuf)]) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let named = |given: &[(String, PathBuf)]| given.iter().map(|(name, folder)| (name.clone(), absolute(folder))).collect();
        Self { folders: named(volumes), secrets: named(secrets) }
    }

    /// What is read from a location.
    pub fn input(&self, location: &Location, field: &str) -> Result<Input, Problem> {
        if location.is_remote() { Ok(Input::Elsewhere) } else { self.existing(location, field).map(Input::Here) }
    }

    /// The folder of a location that is written to; `None` for one that the trainer sends files to.
    pub fn target(&self, location: &Location, field: &str) -> Result<Option<PathBuf>, Problem> {
        if location.is_remote() { Ok(None) } else { self.path(location, field).map(Some) }
    }

    /// The folder that stands in for the Secret of a location that takes one. `field` is where the spec names it.
    pub fn secret(&self, location: &Location, field: &str) -> Result<Option<(String, PathBuf)>, Problem> {
        let Some(name) = location.secret.as_ref().filter(|_| location.is_remote()) else { return Ok(None) };
        let absent = || {
            let next_step = format!("add --secret {name}=FOLDER: a folder with a file for each key");
            Problem::absence(field, name, "no folder stands in for the Secret on this machine", next_step)
        };
        self.secrets.get(name).map(|folder| Some((name.clone(), folder.clone()))).ok_or_else(absent)
    }

    /// The path of a location.
    pub fn path(&self, location: &Location, field: &str) -> Result<PathBuf, Problem> {
        match &location.storage {
            StorageUri::File { path } => Ok(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            StorageUri::Pvc { claim, path } => match self.folders.get(claim) {
                Some(folder) if path.is_empty() => Ok(folder.clone()),
                Some(folder) => Ok(folder.join(path)),
                None => Err(Problem::absence(
                    field,
                    &location.uri,
                    format!("no folder stands in for the volume {claim} on this machine"),
                    format!("add --volume {claim}=FOLDER"),
                )),
            },
            StorageUri::HuggingFace { .. } | StorageUri::ObjectStore { .. } => {
                Err(Problem::new(field, &location.uri, "is not on this machine", "use pvc://NAME/PATH with --volume, or file://PATH"))
            }
        }
    }

    /// The path of a location that is read: it must be there.
    pub fn existing(&self, location: &Location, field: &str) -> Result<PathBuf, Problem> {
        let path = self.path(location, field)?;
        match path.try_exists() {
            Ok(true) => Ok(path),
            Ok(false) => {
                let reason = format!("there is nothing at {}", path.display());
                Err(Problem::new(field, &location.uri, reason, "check the path and the --volume folders"))
            }
            Err(error) => {
                Err(Problem::new(field, &location.uri, format!("cannot look at {}: {error}", path.display()), "check its permissions"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Input, Volumes};
    use temper_planner::StorageUri;
    use temper_planner::validated::Location;

    fn location(uri: &str) -> Location {
        Location { uri: uri.to_owned(), revision: None, storage: StorageUri::parse(uri).expect("valid"), secret: None }
    }

    #[test]
    fn a_volume_is_a_folder_and_a_missing_one_says_which_flag_to_add() {
        let volumes = Volumes::new(&[("data".to_owned(), "/old".into()), ("data".to_owned(), "/mnt/data".into())], &[]);
        assert_eq!(volumes.path(&location("pvc://data/a/b.jsonl"), "f"), Ok("/mnt/data/a/b.jsonl".into()));
        assert_eq!(volumes.path(&location("pvc://data"), "f"), Ok("/mnt/data".into()));
        assert_eq!(volumes.path(&location("file:///x/y"), "f"), Ok("/x/y".into()));
        let problem = volumes.path(&location("pvc://models/x"), "spec.baseModel.storageUri").expect_err("none");
        assert_eq!((problem.path.as_str(), problem.next_step.as_str()), ("spec.baseModel.storageUri", "add --volume models=FOLDER"));
        assert!(problem.is_absence);
    }

    #[test]
    fn what_lies_elsewhere_needs_a_folder_only_for_its_secret() {
        let volumes = Volumes::new(&[], &[("keys".to_owned(), "/home/me/keys".into())]);
        let with = |secret: Option<&str>| Location { secret: secret.map(str::to_owned), ..location("s3://bucket/rows") };
        assert_eq!(volumes.input(&with(None), "f"), Ok(Input::Elsewhere));
        assert_eq!(volumes.target(&with(None), "f"), Ok(None));
        assert_eq!(volumes.secret(&with(None), "f"), Ok(None));
        assert_eq!(volumes.secret(&with(Some("keys")), "f"), Ok(Some(("keys".to_owned(), "/home/me/keys".into()))));
        let problem = volumes.secret(&with(Some("others")), "spec.dataset.secretRef.name").expect_err("none");
        assert_eq!((problem.path.as_str(), problem.value.as_str()), ("spec.dataset.secretRef.name", "others"));
        assert!(problem.is_absence && problem.next_step.starts_with("add --secret others=FOLDER"), "{problem}");
        let on_a_volume = Location { secret: Some("others".to_owned()), ..location("file:///x") };
        assert_eq!(volumes.secret(&on_a_volume, "f"), Ok(None), "a folder takes no credentials");
    }

    #[test]
    fn what_is_read_must_be_there() {
        let problem = Volumes::default().existing(&location("file:///no/such/file"), "f").expect_err("nothing");
        assert!(!problem.is_absence && problem.reason.contains("/no/such/file"), "{problem}");
    }
}
