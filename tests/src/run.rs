//! Whole runs of `temper run` on a small job, each in a home of its own.

use crate::binaries::{binary, succeed};
use crate::job::write_rows;
use crate::reference;
use serde_json::{Value, json};
use std::io::{BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A home, a data set and a manifest for one job.
#[derive(Debug)]
pub struct Place {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Place {
    /// A LoRA job of twelve steps on two ranks, dropout, evaluations and checkpoints on; `change` alters its spec.
    ///
    /// # Panics
    /// When the temporary folder cannot be written.
    pub fn new(change: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("data")).expect("a folder in the temporary folder");
        write_rows(&folder.path().join("data/rows.jsonl"), 60);
        let mut spec = json!({
            "baseModel": {"storageUri": "pvc://models/llama"},
            "dataset": {"storageUri": "pvc://data/rows.jsonl", "format": "prompt-completion", "validation": {"split": "0.1"}, "maxLength": 96},
            "method": {"type": "lora", "lora": {"r": 4, "loraAlpha": 8, "loraDropout": "0.1", "targetModules": ["all-linear"]}},
            "hyperparameters": {"maxSteps": 12, "perDeviceTrainBatchSize": 2, "learningRate": "5e-3", "precision": "fp32", "seed": 3},
            "evaluation": {"evalSteps": 5},
            "trainer": {"numNodes": 1, "numProcPerNode": 2, "resourcesPerNode": {"limits": {"cpu": "2"}}},
            "checkpoint": {"saveSteps": 2, "saveTotalLimit": 2},
            "failurePolicy": {"maxRestarts": 3},
            "output": {"register": {"modelName": "sentences"}},
        });
        change(&mut spec);
        let manifest = json!({"apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": {"name": "sentences"}, "spec": spec});
        // JSON is YAML.
        std::fs::write(folder.path().join("job.yaml"), manifest.to_string()).expect("the manifest is written");
        Self { folder, arguments: Vec::new(), variables: Vec::new() }
    }

    /// The same with a folder that stands in for a Secret with these keys.
    ///
    /// # Panics
    /// When the temporary folder cannot be written.
    #[must_use]
    pub fn with_secret(mut self, name: &str, keys: &[(&str, &str)]) -> Self {
        let folder = self.folder.path().join("secrets").join(name);
        std::fs::create_dir_all(&folder).expect("a folder in the temporary folder");
        for (key, value) in keys {
            std::fs::write(folder.join(key), value).expect("the key is written");
        }
        self.arguments.extend(["--secret".to_owned(), format!("{name}={}", folder.display())]);
        self
    }

    /// The same with a variable in `temper`'s environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder that stands in for the volume `data`.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary("temper"));
        let volume = |name: &str, folder: &Path| format!("{name}={}", folder.display());
        command.arg("run").arg("-f").arg(self.folder.path().join("job.yaml")).arg("--home").arg(self.home());
        command.args(["--volume", &volume("models", reference::models()), "--volume", &volume("data", &self.data())]);
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.process_group(0).env_remove("TEMPER_HOME");
        command
    }

    /// Starts a run; the reader gives both of its output streams.
    ///
    /// # Panics
    /// When the command cannot be started.
    pub fn start(&self, kill_at: Option<&str>) -> (Child, BufReader<impl Read + use<>>) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut command = self.command();
        command.stdout(writer.try_clone().expect("a second handle")).stderr(writer);
        if let Some(place) = kill_at {
            command.env(temper_contract::env::KILL_AT, place);
        }
        (command.spawn().expect("temper starts"), BufReader::new(reader))
    }

    /// Runs to the end; whether it succeeded, and what it printed.
    ///
    /// # Panics
    /// When the command cannot be started.
    pub fn run(&self, kill_at: Option<&str>) -> (bool, String) {
        let (mut child, mut reader) = self.start(kill_at);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("what temper prints is text");
        (child.wait().expect("temper ends").success(), text)
    }

    /// Runs until the job is complete.
    ///
    /// # Panics
    /// When it is not after a few runs.
    pub fn complete(&self) {
        let mut text = String::new();
        for _ in 0..3 {
            let (success, printed) = self.run(None);
            if success {
                return;
            }
            text = printed;
        }
        panic!("the job does not complete:\n{text}");
    }

    /// What `temper run` says of the job, which it completes first where that is left to do.
    ///
    /// # Panics
    /// When the command fails, or answers not in JSON.
    pub fn summary(&self) -> Value {
        serde_json::from_str(&succeed(self.command().args(["-o", "json"]))).expect("a summary is JSON")
    }

    /// What another command of `temper` answers from this home.
    ///
    /// # Panics
    /// When the command fails, or answers not in JSON.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(binary("temper"));
        command.args(arguments).arg("--home").arg(self.home()).args(["-o", "json"]).env_remove("TEMPER_HOME");
        serde_json::from_str(&succeed(&mut command)).expect("an answer is JSON")
    }

    /// The command lines of the processes that work on the job.
    ///
    /// # Panics
    /// When there is no list of processes.
    pub fn processes(&self) -> Vec<String> {
        let folder = self.folder.path().display().to_string();
        let processes = std::fs::read_dir("/proc").expect("a list of processes").flatten();
        // What has ended has no command line.
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(&folder)).collect()
    }

    /// The registered model's folder.
    ///
    /// # Panics
    /// When there is not exactly one version.
    pub fn model(&self) -> PathBuf {
        let versions = std::fs::read_dir(self.home().join("registry/sentences")).expect("a registered model");
        let versions: Vec<PathBuf> =
            versions.flatten().map(|entry| entry.path()).filter(|path| path.join("model-version.yaml").is_file()).collect();
        let [version] = versions.as_slice() else { panic!("one version is expected: {versions:?}") };
        version.join("model")
    }

    /// The registered adapter's bytes.
    ///
    /// # Panics
    /// When there is not exactly one version, or it has no adapter.
    pub fn adapter(&self) -> Vec<u8> {
        std::fs::read(self.model().join("adapter_model.safetensors")).expect("an adapter")
    }
}
