//! The registry of a machine: a folder a version, each with the model and its `model-version.yaml`.
//!
//! ```text
//! registry/MODEL/VERSION/model/               the artifact, as it was published
//! registry/MODEL/VERSION/model-version.yaml   the ModelVersion that a cluster would hold
//! ```
//! A version is written aside and renamed into place whole, so a reader sees all of it or nothing.

use crate::exit::{Exit, Stop};
use crate::local::disk;
use crate::local::durable;
use crate::local::fault;
use crate::local::home::Home;
use crate::local::lock::Lock;
use anyhow::{Context, Result};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use temper_crds::{ModelVersion, ModelVersionSpec, Time};

/// Another registration of the same model takes no longer than copying it.
const LOCK_PATIENCE: Duration = Duration::from_secs(120);
const MANIFEST: &str = "model-version.yaml";
const MODEL: &str = "model";

/// The registered models of a home folder.
#[derive(Clone, Debug)]
pub struct Registry {
    root: PathBuf,
    locks: Home,
}

/// One registered version.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The artifact's folder.
    pub model: PathBuf,
    /// The version's manifest.
    pub manifest: PathBuf,
    /// What the manifest says.
    pub version: ModelVersion,
}

impl Registry {
    /// The registry in a home folder.
    pub fn new(home: &Home) -> Self {
        Self { root: home.registry(), locks: home.clone() }
    }

    /// Registers the artifact in `folder` as the next version of its model. `spec` says all but the version and the URI. The same
    /// artifact of the same source is registered once: registering it again, after a crash for instance, finds the version there is.
    pub fn register(
        &self,
        folder: &Path,
        mut spec: ModelVersionSpec,
        annotations: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<Entry> {
        let lock = self.locks.lock(&format!("registry-{}", spec.model_name));
        let deadline = Instant::now() + LOCK_PATIENCE;
        let _held = Lock::take_before(&lock, deadline)?.ok_or_else(|| {
            Stop::new(Exit::Busy, format!("another temper registers a version of {}", spec.model_name), "run the same command again")
        })?;
        let versions = self.versions(&spec.model_name)?;
        let same = |entry: &&Entry| entry.version.spec.digest == spec.digest && entry.version.spec.source_ref == spec.source_ref;
        if let Some(entry) = versions.iter().find(same) {
            return Ok(entry.clone());
        }
        spec.version = versions.iter().map(|entry| entry.version.spec.version).max().unwrap_or(0) + 1;
        let models = self.root.join(&spec.model_name);
        let (aside, place) = (models.join(".new"), models.join(spec.version.to_string()));
        spec.uri = format!("file://{}", place.join(MODEL).display());
        remove(&aside)?;
        copy_folder(folder, &aside.join(MODEL))?;
        let found = temper_artifact::digest::folder(&aside.join(MODEL)).context("cannot read back the copy for the registry")?;
        if found != spec.digest {
            return Err(Stop::new(
                Exit::JobFailed,
                format!("{} is no longer what was published: its digest is {found}, not {}", folder.display(), spec.digest),
                "start over with --fresh",
            )
            .into());
        }
        let mut version = ModelVersion::new(&format!("{}-v{}", spec.model_name, spec.version), spec);
        version.metadata.creation_timestamp = Some(Time(now));
        version.metadata.annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
        let text = serde_saphyr::to_string(&version).context("cannot express the model version as YAML")?;
        durable::write(&aside.join(MANIFEST), text.as_bytes())?;
        fault::point(fault::REGISTER_BEFORE_RENAME);
        fs::rename(&aside, &place).map_err(disk::refused(|| format!("cannot make {}", place.display())))?;
        temper_artifact::write::sync_folder(&models).map_err(disk::refused_artifact)?;
        fault::point(fault::REGISTER_AFTER_RENAME);
        Ok(Entry { model: place.join(MODEL), manifest: place.join(MANIFEST), version })
    }

    /// The versions of a model, in order; none if there is no such model.
    pub fn versions(&self, model: &str) -> Result<Vec<Entry>> {
        let folder = self.root.join(model);
        let names = match fs::read_dir(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(disk::refused(|| format!("cannot list {}", folder.display()))(error)),
        };
        let mut entries = Vec::new();
        for name in names {
            let name = name.map_err(disk::refused(|| format!("cannot list {}", folder.display())))?.file_name();
            let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let manifest = folder.join(&name).join(MANIFEST);
            let text = fs::read_to_string(&manifest).map_err(disk::refused(|| format!("cannot read {}", manifest.display())))?;
            let version: ModelVersion =
                serde_saphyr::from_str(&text).with_context(|| format!("cannot understand {}", manifest.display()))?;
            entries.push((number, Entry { model: folder.join(&name).join(MODEL), manifest, version }));
        }
        entries.sort_by_key(|(number, _)| *number);
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// The version of a `registry:NAME[/VERSION]` reference, without `registry:`; the newest where it names none.
    pub fn find(&self, reference: &str) -> Result<Entry> {
        let (model, version) = match reference.split_once('/') {
            Some((model, version)) => (model, Some(version)),
            None => (reference, None),
        };
        if model.is_empty() || model.contains(['.', '/', '\\']) {
            return Err(
                Stop::usage(format!("--model registry:{reference}: not a name"), "write registry:NAME or registry:NAME/VERSION").into()
            );
        }
        let mut entries = self.versions(model)?;
        let known: Vec<String> = entries.iter().map(|entry| entry.version.spec.version.to_string()).collect();
        let wanted = match version {
            None => entries.pop(),
            Some(version) => entries.into_iter().find(|entry| entry.version.spec.version.to_string() == version),
        };
        wanted.ok_or_else(|| {
            let next = match known.is_empty() {
                true => format!("models are registered in {} by `temper run`", self.root.display()),
                false => format!("its versions are {}", known.join(", ")),
            };
            Stop::invalid(format!("--model registry:{reference}: there is no such version"), next).into()
        })
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(disk::refused(|| format!("cannot remove {}", folder.display()))(error)),
        _ => Ok(()),
    }
}

/// Copies a folder of files. Hard links would be cheaper, but a file changed through one name would change the registry too.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let place = || format!("cannot copy {} to {}", from.display(), to.display());
    fs::create_dir_all(to).map_err(disk::refused(place))?;
    for entry in fs::read_dir(from).map_err(disk::refused(place))? {
        let entry = entry.map_err(disk::refused(place))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).and_then(|_| fs::File::open(&target)?.sync_all()).map_err(disk::refused(place))?;
        }
    }
    temper_artifact::write::sync_folder(to).map_err(disk::refused_artifact)
}

#[cfg(test)]
mod tests {
    use super::{Entry, Registry};
    use crate::exit::Stop;
    use crate::local::home::Home;
    use jiff::Timestamp;
    use std::fs;
    use std::path::Path;
    use temper_crds::ModelVersionSpec;
    use temper_crds::modelversion::{ModelFormat, SourceReference, Stage};

    fn spec(artifact: &Path, run: &str) -> ModelVersionSpec {
        ModelVersionSpec {
            model_name: "listings".to_owned(),
            version: 0,
            uri: String::new(),
            digest: temper_artifact::digest::folder(artifact).expect("readable"),
            format: ModelFormat::HuggingFace,
            base_model: None,
            chat_template_digest: None,
            training_config: [].into(),
            metrics: [].into(),
            source_ref: Some(SourceReference { kind: "FineTuneJob".to_owned(), name: "job".to_owned(), uid: Some(run.to_owned()) }),
            stage: Stage::Staging,
        }
    }

    fn setting() -> (tempfile::TempDir, Registry, std::path::PathBuf) {
        let root = tempfile::tempdir().expect("a folder");
        let registry = Registry::new(&Home::find(Some(&root.path().join("home"))).expect("a home"));
        let artifact = root.path().join("output");
        fs::create_dir_all(artifact.join("deep")).expect("made");
        fs::write(artifact.join("config.json"), "{}").expect("written");
        fs::write(artifact.join("deep/weights"), "w").expect("written");
        (root, registry, artifact)
    }

    fn register(registry: &Registry, artifact: &Path, run: &str) -> Entry {
        registry.register(artifact, spec(artifact, run), [].into(), Timestamp::UNIX_EPOCH).expect("registered")
    }

    #[test]
    fn versions_count_from_one_and_the_same_artifact_is_registered_once() {
        let (_root, registry, artifact) = setting();
        let first = register(&registry, &artifact, "run-1");
        assert_eq!((first.version.spec.version, first.version.metadata.name.as_deref()), (1, Some("listings-v1")));
        assert_eq!(fs::read_to_string(first.model.join("deep/weights")).expect("copied"), "w");
        assert_eq!(register(&registry, &artifact, "run-1"), first);
        assert_eq!(register(&registry, &artifact, "run-2").version.spec.version, 2);
        fs::write(artifact.join("deep/weights"), "x").expect("written");
        assert_eq!(register(&registry, &artifact, "run-1").version.spec.version, 3);
        assert_eq!(registry.find("listings").expect("newest").version.spec.version, 3);
        assert_eq!(registry.find("listings/1").expect("named"), first);
    }

    #[test]
    fn what_a_crash_left_aside_is_replaced() {
        let (_root, registry, artifact) = setting();
        let aside = registry.root.join("listings/.new/model");
        fs::create_dir_all(&aside).expect("made");
        fs::write(aside.join("torn"), "?").expect("written");
        let entry = register(&registry, &artifact, "run-1");
        assert!(entry.version.spec.version == 1 && !entry.model.join("torn").exists());
    }

    #[test]
    fn an_artifact_that_changed_since_it_was_published_is_refused() {
        let (_root, registry, artifact) = setting();
        let spec = spec(&artifact, "run-1");
        fs::write(artifact.join("config.json"), "{1}").expect("written");
        let error = registry.register(&artifact, spec, [].into(), Timestamp::UNIX_EPOCH).expect_err("changed").to_string();
        assert!(error.contains("no longer what was published"), "{error}");
        assert!(registry.versions("listings").expect("listable").is_empty());
    }

    #[test]
    fn a_reference_to_nothing_lists_what_there_is() {
        let (_root, registry, artifact) = setting();
        register(&registry, &artifact, "run-1");
        let next_step = |reference: &str| {
            let error = registry.find(reference).expect_err("nothing");
            error.downcast::<Stop>().expect("a stop").next_step
        };
        assert_eq!(next_step("listings/7"), "its versions are 1");
        assert!(next_step("other").contains("temper run"));
        assert!(next_step("../listings").contains("registry:NAME"));
    }
}
