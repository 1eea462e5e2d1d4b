//! A Hugging Face model folder: which files make up the model, and that none of them lies elsewhere.

use crate::json_file::JsonObject;
use crate::{Error, SafetensorsFile, pickle};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Extensions that pickles of weights go by.
const PICKLE_EXTENSIONS: [&str; 6] = ["bin", "pt", "pth", "ckpt", "pkl", "pickle"];

/// A folder's safetensors files.
#[derive(Debug)]
pub(crate) struct Weights {
    pub(crate) files: Vec<SafetensorsFile>,
    /// In which of the files each tensor is.
    pub(crate) places: BTreeMap<String, usize>,
}

/// A folder on this machine.
#[derive(Clone, Debug)]
pub(crate) struct ModelFolder {
    path: PathBuf,
    /// Where its files may really lie: itself and, if it is a snapshot in Hugging Face's cache, the `blobs` folder that a snapshot's
    /// links point to.
    roots: Vec<PathBuf>,
}

impl ModelFolder {
    pub(crate) fn open(path: &Path) -> Result<ModelFolder, Error> {
        let real = path.canonicalize().map_err(Error::io("open", path))?;
        let mut roots = vec![real.clone()];
        let snapshots = real.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "snapshots"));
        roots.extend(snapshots.and_then(Path::parent).map(|repository| repository.join("blobs")));
        Ok(ModelFolder { path: path.to_owned(), roots })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of this name, if it is there. A name or a link that leads out of the folder is refused.
    pub(crate) fn file(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let path = self.path.join(name);
        let inside = !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(Error::damaged(&self.path, format!("it names the file {name:?}, which is not inside the folder")));
        }
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.symlink_metadata().is_err() => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            return Err(Error::damaged(
                &path,
                format!("it is a link to {}, outside the model's folder; copy the file there", real.display()),
            ));
        }
        Ok(Some(path))
    }

    pub(crate) fn json(&self, name: &str) -> Result<Option<JsonObject>, Error> {
        self.file(name)?.map(|path| JsonObject::read(&path)).transpose()
    }

    /// The folder's weights; `None` if it has no safetensors. As in transformers, one file wins over an index, which an earlier model may
    /// have left there.
    pub(crate) fn weights(&self) -> Result<Option<Weights>, Error> {
        if let Some(path) = self.file(WEIGHTS)? {
            let file = SafetensorsFile::open(&path)?;
            let places = file.tensors().map(|info| (info.name.clone(), 0)).collect();
            return Ok(Some(Weights { files: vec![file], places }));
        }
        self.json(INDEX)?.map(|index| self.shards(&index)).transpose()
    }

    fn shards(&self, index: &JsonObject) -> Result<Weights, Error> {
        let map = index.object("weight_map")?.ok_or_else(|| index.missing("weight_map"))?;
        let mut files: Vec<SafetensorsFile> = Vec::new();
        let mut numbers = BTreeMap::new();
        let mut places = BTreeMap::new();
        for (tensor, shard) in map {
            let field = format!("weight_map.{tensor}");
            let name = shard.as_str().ok_or_else(|| index.error(&field, shard, "a file name is expected"))?;
            let number = match numbers.get(name) {
                Some(&number) => number,
                None => {
                    let path = self.file(name).map_err(|error| match error {
                        // That the system refuses says nothing about the index.
                        Error::Io { .. } => error,
                        error => index.error(&field, name, error.to_string()),
                    })?;
                    let path = path
                        .ok_or_else(|| index.error(&field, name, "the folder does not have this file; the download may be incomplete"))?;
                    files.push(SafetensorsFile::open(&path)?);
                    numbers.insert(name.to_owned(), files.len() - 1);
                    files.len() - 1
                }
            };
            if files[number].get(tensor).is_none() {
                return Err(index.error(&field, name, "that file does not have this tensor"));
            }
            places.insert(tensor.clone(), number);
        }
        Ok(Weights { files, places })
    }

    /// The names of the folder's files, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(Error::io("list", &self.path))? {
            let entry = entry.map_err(Error::io("list", &self.path))?;
            // A name that is not UTF-8 is none of a model's, nor is a folder or a link that leads nowhere.
            if entry.path().is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The error for a folder without weights that can be read: a pickle is refused as one, anything else is listed.
    pub(crate) fn without_weights(&self) -> Error {
        let names = match self.names() {
            Ok(names) => names,
            Err(error) => return error,
        };
        for name in &names {
            let extension = Path::new(name).extension().and_then(|extension| extension.to_str()).unwrap_or("");
            if PICKLE_EXTENSIONS.contains(&extension)
                && let Err(error @ Error::Pickle { .. }) = pickle::refuse(&self.path.join(name))
            {
                return error;
            }
        }
        let listed = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        let reason = if names.iter().any(|name| name == "adapter_config.json") {
            "the folder holds a PEFT adapter; give the folder of its base model".to_owned()
        } else if names.is_empty() {
            "the folder is empty".to_owned()
        } else {
            format!("the folder has neither {WEIGHTS} nor {INDEX} nor one .gguf file; it has {listed}")
        };
        Error::NotAModel { path: self.path.clone(), reason }
    }
}
