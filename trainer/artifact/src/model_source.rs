//! A base model on this machine, opened and checked.

use crate::gguf::{self, GgufFile, tensor_names};
use crate::hugging_face_tokenizer::HuggingFaceTokenizer;
use crate::model_folder::{ModelFolder, Weights};
use crate::{ChatTemplates, Error, Family, GgufTokenizer, ModelConfig, RawTensor, SafetensorsFile, TensorInfo, TokenizerSource, digest};
use crate::{hugging_face_config, pickle};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Files of a tokenizer that are neither JSON nor templates: those who convert a model to another format ask for them.
const TOKENIZER_TEXTS: [&str; 3] = ["tokenizer.model", "merges.txt", "vocab.txt"];

/// An opened model: a Hugging Face folder or a GGUF file. Opening reads headers only and checks that every parameter is there with the
/// right shape and a type that can be read; weights are read from the map when they are asked for.
#[derive(Debug)]
pub struct ModelSource {
    path: PathBuf,
    config: ModelConfig,
    tensors: Vec<TensorInfo>,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Folder {
        folder: ModelFolder,
        files: Vec<SafetensorsFile>,
        places: BTreeMap<String, usize>,
    },
    /// `places` has the position in the file's tensor table.
    Gguf {
        file: GgufFile,
        places: BTreeMap<String, usize>,
    },
}

impl ModelSource {
    /// Opens a model folder, a `.gguf` file, or a folder with one `.gguf` file in it.
    pub fn open(path: &Path) -> Result<ModelSource, Error> {
        let metadata = path.metadata().map_err(Error::io("open", path))?;
        if metadata.is_dir() {
            return open_folder(path);
        }
        pickle::refuse(path)?;
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension == Some("safetensors") {
            let reason =
                "it is a file of weights alone; give the folder that has it together with config.json and the tokenizer".to_owned();
            return Err(Error::NotAModel { path: path.to_owned(), reason });
        }
        open_gguf(path)
    }

    /// The path it was opened from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Headers of the model's parameters, in the order of [`ModelConfig::expected_tensors`]; what else the files have is left out.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Size of the parameters in the files.
    pub fn stored_bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.stored_bytes() as u64).sum()
    }

    /// A parameter by its Hugging Face name.
    pub fn tensor(&self, name: &str) -> Result<RawTensor<'_>, Error> {
        let missing = || Error::tensor(&self.path, name, "the model does not have it");
        match &self.storage {
            Storage::Folder { files, places, .. } => {
                let file = places.get(name).and_then(|&number| files.get(number)).ok_or_else(missing)?;
                file.tensor(name)
            }
            Storage::Gguf { file, places } => {
                let entry = places.get(name).and_then(|&number| file.tensors().get(number)).ok_or_else(missing)?;
                let info = TensorInfo { name: name.to_owned(), shape: entry.shape.clone(), dtype: entry.dtype };
                Ok(RawTensor { info, stored: file.bytes(entry), permuted_heads: permuted_heads(&self.config, name) })
            }
        }
    }

    /// The model's tokenizer, read anew on each call and checked against the embedding's rows.
    pub fn tokenizer(&self) -> Result<TokenizerSource, Error> {
        match &self.storage {
            Storage::Folder { folder, .. } => HuggingFaceTokenizer::read(folder, self.config.vocab_size).map(TokenizerSource::HuggingFace),
            Storage::Gguf { file, .. } => GgufTokenizer::read(file, self.config.vocab_size).map(TokenizerSource::Gguf),
        }
    }

    /// The files that the model and its tokenizer are read from, and further ones of the tokenizer, by their names in the folder
    /// (`model.gguf` for a GGUF file, whatever it is called).
    pub fn files(&self) -> Result<BTreeMap<String, PathBuf>, Error> {
        match &self.storage {
            Storage::Folder { folder, files, .. } => {
                let weights = files.iter().filter_map(|file| file.path().file_name()?.to_str().map(str::to_owned));
                let is_taken = |name: &str| name.ends_with(".json") || name.ends_with(".jinja") || TOKENIZER_TEXTS.contains(&name);
                let mut names: Vec<String> = folder.names()?.into_iter().filter(|name| is_taken(name)).collect();
                names.extend(weights);
                names.extend(ChatTemplates::further(folder)?.into_iter().map(|(_, name)| name));
                let found = names.into_iter().map(|name| Ok(folder.file(&name)?.map(|path| (name, path))));
                found.filter_map(Result::transpose).collect()
            }
            Storage::Gguf { file, .. } => Ok(BTreeMap::from([("model.gguf".to_owned(), file.path().to_owned())])),
        }
    }

    /// SHA-256 over names and contents of [`files`](Self::files): equal for a copy of the model elsewhere, different if any weight,
    /// setting or tokenizer file differs.
    pub fn digest(&self) -> Result<String, Error> {
        let entries: Result<_, Error> = self.files()?.into_iter().map(|(name, path)| Ok((name, digest::file(&path)?))).collect();
        Ok(digest::of_entries(&entries?))
    }
}

fn open_folder(path: &Path) -> Result<ModelSource, Error> {
    let folder = ModelFolder::open(path)?;
    let Some(Weights { files, places }) = folder.weights()? else {
        let ggufs: Vec<String> = folder.names()?.into_iter().filter(|name| name.ends_with(".gguf")).collect();
        return match ggufs.as_slice() {
            [] => Err(folder.without_weights()),
            [one] => open_gguf(&folder.file(one)?.unwrap_or_else(|| path.join(one))),
            several => {
                let reason = format!("the folder has several GGUF files ({}); give the path of one", several.join(", "));
                Err(Error::NotAModel { path: path.to_owned(), reason })
            }
        };
    };
    let config = folder.json("config.json")?.ok_or_else(|| Error::NotAModel {
        path: path.to_owned(),
        reason: "the folder has weights but no config.json; get the model's complete folder".to_owned(),
    })?;
    let generation = folder.json("generation_config.json")?;
    let config = hugging_face_config::read(&config, generation.as_ref())?;
    let tensors = check_tensors(path, &config, |name| {
        let file = places.get(name).and_then(|&number| files.get(number))?;
        file.get(name).map(|tensor| tensor.info().clone())
    })?;
    refuse_unexpected(path, &tensors, places.keys())?;
    Ok(ModelSource { path: path.to_owned(), config, tensors, storage: Storage::Folder { folder, files, places } })
}

fn open_gguf(path: &Path) -> Result<ModelSource, Error> {
    let file = GgufFile::open(path)?;
    let config = gguf::model_config::read(&file)?;
    let named = |(number, tensor): (usize, &gguf::GgufTensor)| Some((tensor_names::hugging_face(&tensor.name)?, number));
    let places: BTreeMap<String, usize> = file.tensors().iter().enumerate().filter_map(named).collect();
    let tensors = check_tensors(path, &config, |name| {
        let entry = places.get(name).and_then(|&number| file.tensors().get(number))?;
        Some(TensorInfo { name: name.to_owned(), shape: entry.shape.clone(), dtype: entry.dtype })
    })?;
    refuse_unexpected(path, &tensors, places.keys())?;
    if let Some(tensor) = file.tensors().iter().find(|tensor| tensor_names::is_unknown_in_layer(&tensor.name)) {
        return Err(Error::tensor(path, &tensor.name, UNEXPECTED));
    }
    Ok(ModelSource { path: path.to_owned(), config, tensors, storage: Storage::Gguf { file, places } })
}

/// Every parameter's header, if all are there with the shapes that the configuration says.
fn check_tensors(path: &Path, config: &ModelConfig, find: impl Fn(&str) -> Option<TensorInfo>) -> Result<Vec<TensorInfo>, Error> {
    let mut tensors = Vec::new();
    for expected in config.expected_tensors() {
        let info = find(&expected.name)
            .ok_or_else(|| Error::tensor(path, &expected.name, "it is missing, though the configuration calls for it"))?;
        if info.shape != expected.shape {
            let reason = format!("its shape is {:?}, but the configuration says {:?}", info.shape, expected.shape);
            return Err(Error::tensor(path, &expected.name, reason));
        }
        tensors.push(info);
    }
    Ok(tensors)
}

const UNEXPECTED: &str =
    "the configuration does not call for it, so it could not be used; the files do not belong together or the architecture has changed";

/// A layer's parameter that the configuration knows nothing of (a bias, a norm, a scale) would change the result: refuse it rather than
/// leave it out. Old files carry buffers, which are computed anew.
fn refuse_unexpected<'a>(path: &Path, expected: &[TensorInfo], present: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let expected: BTreeSet<&str> = expected.iter().map(|info| info.name.as_str()).collect();
    let buffer = |name: &str| name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".attn.masked_bias");
    for name in present {
        if name.starts_with("model.layers.") && !buffer(name) && !expected.contains(name.as_str()) {
            return Err(Error::tensor(path, name, UNEXPECTED));
        }
    }
    Ok(())
}

/// llama.cpp's converter reorders query and key rows of the architecture it calls `llama`, and of no other.
fn permuted_heads(config: &ModelConfig, name: &str) -> Option<usize> {
    if !matches!(config.family, Family::Llama | Family::Mistral) {
        return None;
    }
    let (module, _) = name.rsplit_once('.')?;
    if module.ends_with(".q_proj") {
        Some(config.num_attention_heads)
    } else if module.ends_with(".k_proj") {
        Some(config.num_key_value_heads)
    } else {
        None
    }
}
