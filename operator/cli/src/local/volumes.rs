//! Storage URIs as paths on this machine: `--volume NAME=FOLDER` stands in for `pvc://NAME`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use temper_planner::validated::Location;
use temper_planner::{Problem, StorageUri};

/// Folders that stand in for volumes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volumes {
    folders: BTreeMap<String, PathBuf>,
}

impl Volumes {
    /// The folders that the command line gives; the last of a name counts.
    pub fn new(given: &[(String, PathBuf)]) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Self { folders: given.iter().map(|(name, folder)| (name.clone(), absolute(folder))).collect() }
    }

    /// The path of a location.
    pub fn path(&self, location: &Location, field: &str) -> Result<PathBuf, Problem> {
        match &location.storage {
            StorageUri::File { path } => Ok(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
            StorageUri::Pvc { claim, path } => match self.folders.get(claim) {
                Some(folder) if path.is_empty() => Ok(folder.clone()),
                Some(folder) => Ok(folder.join(path)),
                None => Err(Problem::new(
                    field,
                    &location.uri,
                    format!("no folder stands in for the volume {claim} on this machine"),
                    format!("add --volume {claim}=FOLDER"),
                )),
            },
            _ => Err(Problem::not_supported(field, &location.uri, "use pvc://NAME/PATH with --volume, or file://PATH")),
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
    use super::Volumes;
    use temper_planner::StorageUri;
    use temper_planner::validated::Location;

    fn location(uri: &str) -> Location {
        Location { uri: uri.to_owned(), revision: None, storage: StorageUri::parse(uri).expect("valid"), secret: None }
    }

    #[test]
    fn a_volume_is_a_folder_and_a_missing_one_says_which_flag_to_add() {
        let volumes = Volumes::new(&[("data".to_owned(), "/old".into()), ("data".to_owned(), "/mnt/data".into())]);
        assert_eq!(volumes.path(&location("pvc://data/a/b.jsonl"), "f"), Ok("/mnt/data/a/b.jsonl".into()));
        assert_eq!(volumes.path(&location("pvc://data"), "f"), Ok("/mnt/data".into()));
        assert_eq!(volumes.path(&location("file:///x/y"), "f"), Ok("/x/y".into()));
        let problem = volumes.path(&location("pvc://models/x"), "spec.baseModel.storageUri").expect_err("none");
        assert_eq!((problem.path.as_str(), problem.next_step.as_str()), ("spec.baseModel.storageUri", "add --volume models=FOLDER"));
    }

    #[test]
    fn what_is_read_must_be_there() {
        let problem = Volumes::default().existing(&location("file:///no/such/file"), "f").expect_err("nothing");
        assert!(problem.reason.contains("/no/such/file"), "{problem}");
    }
}
