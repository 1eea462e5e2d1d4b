//! `--model`: a folder, a GGUF file, or a registered version.

use crate::arguments::{ModelArgs, PrecisionArg};
use crate::exit::Stop;
use crate::input;
use crate::local::home::Home;
use crate::local::machine;
use crate::local::registry::{Entry, Registry};
use anyhow::Result;
use std::path::{Path, PathBuf};
use temper_contract::config::{ChatTemplate, Device, Precision};
use temper_contract::request::Compute;
use temper_crds::modelversion::ModelFormat;

/// What stands before a registered model's name.
const REGISTRY: &str = "registry:";

/// The folders that a command works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The model, or the base model of the adapter.
    pub base: PathBuf,
    /// The adapter to put on it.
    pub adapter: Option<PathBuf>,
}

impl Model {
    /// The model that the command line names.
    pub fn find(arguments: &ModelArgs, home: &Home) -> Result<Self> {
        let Some(reference) = arguments.model.strip_prefix(REGISTRY) else {
            return Ok(Self { base: existing(Path::new(&arguments.model), "--model")?, adapter: given_adapter(arguments)? });
        };
        let entry = Registry::new(home).find(reference)?;
        match entry.version.spec.format {
            ModelFormat::HuggingFace => Ok(Self { base: existing(&entry.model, "--model")?, adapter: given_adapter(arguments)? }),
            ModelFormat::PeftAdapter if arguments.adapter.is_some() => Err(Stop::usage(
                format!("--adapter: {} is an adapter itself", arguments.model),
                "leave --adapter out, or give its base model as --model",
            )
            .into()),
            ModelFormat::PeftAdapter => {
                Ok(Self { base: base_of(&entry, arguments.base_model.as_deref())?, adapter: Some(existing(&entry.model, "--model")?) })
            }
        }
    }
}

fn given_adapter(arguments: &ModelArgs) -> Result<Option<PathBuf>, Stop> {
    arguments.adapter.as_deref().map(|path| existing(path, "--adapter")).transpose()
}

fn existing(path: &Path, flag: &str) -> Result<PathBuf, Stop> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    match absolute.try_exists() {
        Ok(true) => Ok(absolute),
        _ => Err(Stop::invalid(
            format!("{flag}: {}: there is no such file or folder", path.display()),
            "give a model folder, a .gguf file or registry:NAME[/VERSION]",
        )),
    }
}

/// The base model of a registered adapter: the one given, or the path that was noted when it was registered.
fn base_of(entry: &Entry, given: Option<&Path>) -> Result<PathBuf, Stop> {
    if let Some(given) = given {
        return existing(given, "--base-model");
    }
    let uri = entry.version.spec.base_model.as_ref().map(|base| base.uri.as_str()).unwrap_or_default();
    let noted = entry.version.metadata.annotations.as_ref().and_then(|notes| notes.get(BASE_MODEL_PATH)).map(PathBuf::from);
    let noted = noted.or_else(|| uri.strip_prefix("file://").map(PathBuf::from));
    noted.filter(|path| path.exists()).ok_or_else(|| {
        Stop::invalid(
            format!("--model: the base model of {} ({uri}) is not where it was", entry.manifest.display()),
            "say where it is by --base-model PATH",
        )
    })
}

/// Annotation of a local ModelVersion: where this machine had the base model.
pub const BASE_MODEL_PATH: &str = "temper.dev/base-model-path";

/// What to compute with.
pub fn compute(arguments: &ModelArgs) -> Compute {
    Compute {
        precision: match arguments.precision {
            PrecisionArg::Fp32 => Precision::Fp32,
            PrecisionArg::Bf16 => Precision::Bf16,
        },
        device: if arguments.cuda { Device::Cuda } else { Device::Cpu },
        threads: arguments.threads.unwrap_or_else(machine::processors).max(1),
    }
}

/// The chat template that the command line gives.
pub fn chat_template(arguments: &ModelArgs) -> Result<ChatTemplate, Stop> {
    let Some(path) = &arguments.chat_template else { return Ok(ChatTemplate::TokenizerDefault) };
    input::read_text(path).map(ChatTemplate::Inline).map_err(|error| {
        Stop::invalid(format!("--chat-template: cannot read {}: {error}", path.display()), "give a file with a Jinja template")
    })
}
