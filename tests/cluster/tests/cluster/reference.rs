//! What the same manifest makes on one machine without a cluster, by `temper run`.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use temper_cluster_tests::binaries;
use temper_cluster_tests::ran::run;
use temper_crds::ModelVersion;

use crate::job::{NAME, manifest, smollm2, write_rows};

/// A model that a job has made.
pub(crate) struct Model {
    adapter: Vec<u8>,
    digest: String,
}

impl Model {
    /// The published model in a folder, with the digest that it is registered with.
    ///
    /// # Panics
    /// When there is none.
    pub(crate) fn read(folder: &Path, digest: String) -> Self {
        let path = folder.join("adapter_model.safetensors");
        let adapter = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(adapter.len() > 1_000_000, "{}: {} bytes are no adapter", path.display(), adapter.len());
        Self { adapter, digest }
    }

    /// Holds a cluster's model to the local one's bytes.
    ///
    /// # Panics
    /// When one differs.
    pub(crate) fn is_that_of_a_local_run(&self) {
        let local = of_local_run();
        let differ = local.adapter.iter().zip(&self.adapter).filter(|(one, other)| one != other).count();
        assert!(local.adapter == self.adapter, "the adapters differ in {differ} of {} bytes", local.adapter.len());
        assert_eq!(local.digest, self.digest, "the files beside the adapter differ");
    }
}

/// The model that an uninterrupted local run makes.
fn of_local_run() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        write_rows(&place("datasets"));
        // JSON is YAML.
        std::fs::write(place("job.yaml"), manifest("1").to_string()).unwrap();
        let volume = |name: &str, folder: &Path| format!("{name}={}", folder.display());
        let mut command = Command::new(binaries::ours("temper"));
        command.arg("run").arg("-f").arg(place("job.yaml")).arg("--home").arg(place("home")).env_remove("TEMPER_HOME");
        let smollm2 = smollm2();
        let models = smollm2.parent().expect("the model is in a folder");
        for volume in [volume("models", models), volume("datasets", &place("datasets")), volume("runs", &place("runs"))] {
            command.args(["--volume", &volume]);
        }
        run(command, "").succeeded("temper run");
        let version = place("home/registry").join(NAME).join("1");
        let manifest = std::fs::read_to_string(version.join("model-version.yaml")).unwrap();
        let registered: ModelVersion = serde_saphyr::from_str(&manifest).unwrap();
        Model::read(&version.join("model"), registered.spec.digest)
    })
}
