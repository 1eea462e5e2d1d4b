//! A home folder, a manifest and a trainer that only speaks the contract.
#![allow(dead_code)]

pub(crate) mod started;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use temper_artifact::{Dtype, TensorInfo};

const MANIFEST: &str = "\
apiVersion: temper.dev/v1alpha1
kind: FineTuneJob
metadata:
  name: listings
spec:
  baseModel: {storageUri: pvc://models/base.gguf}
  dataset:
    storageUri: pvc://data/rows.jsonl
    format: messages
    validation: {split: \"0.05\"}
  method:
    type: lora
    lora: {r: 16, loraAlpha: 32, targetModules: [all-linear]}
  hyperparameters: {maxSteps: 4, seed: 7}
  trainer:
    numProcPerNode: 2
    env: [{name: GLOO_SOCKET_IFNAME, value: lo}]
  failurePolicy: {maxRestarts: 2}
  output:
    register: {modelName: listings, stage: Staging}
";

/// A place to run `temper` in.
pub(crate) struct Setting {
    root: tempfile::TempDir,
}

/// What a command printed and how it ended.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Setting {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).expect("written");
        for folder in ["models", "data", "trainer"] {
            fs::create_dir(root.path().join(folder)).expect("made");
        }
        write("models/base.gguf", "GGUF?");
        write("data/rows.jsonl", "{}\n");
        write("job.yaml", MANIFEST);
        write("prompts.jsonl", "{\"prompt\": \"A cottage in Ashford, please.\"}\n{\"prompt\": \"A loft in Oakridge.\"}\n");
        write("trainer/temper-trainer", include_str!("fake-trainer.sh"));
        let trainer = root.path().join("trainer/temper-trainer");
        fs::set_permissions(&trainer, fs::Permissions::from_mode(0o755)).expect("set");
        Self { root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Makes the trainer misbehave: see its head.
    pub(crate) fn misbehave(&self, name: &str, content: &str) {
        fs::write(self.path("trainer").join(name), content).expect("written");
    }

    /// Changes the manifest.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.path("job.yaml")).expect("read");
        assert!(text.contains(from), "{from}");
        fs::write(self.path("job.yaml"), text.replace(from, to)).expect("written");
    }

    /// Puts a tiny but well-formed Llama in place of the base model.
    pub(crate) fn with_a_model(&self) {
        let folder = self.path("models/tiny");
        fs::create_dir(&folder).expect("made");
        let config = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 16,
            "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 32, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 64, "tie_word_embeddings": true, "rope_theta": 10000.0}"#;
        fs::write(folder.join("config.json"), config).expect("written");
        let layer = |name: &str| format!("model.layers.0.{name}.weight");
        let shapes = [
            ("model.embed_tokens.weight".to_owned(), vec![32, 8]),
            (layer("input_layernorm"), vec![8]),
            (layer("self_attn.q_proj"), vec![8, 8]),
            (layer("self_attn.k_proj"), vec![4, 8]),
            (layer("self_attn.v_proj"), vec![4, 8]),
            (layer("self_attn.o_proj"), vec![8, 8]),
            (layer("post_attention_layernorm"), vec![8]),
            (layer("mlp.gate_proj"), vec![16, 8]),
            (layer("mlp.up_proj"), vec![16, 8]),
            (layer("mlp.down_proj"), vec![8, 16]),
            ("model.norm.weight".to_owned(), vec![8]),
        ];
        let zeros = vec![0; 4 * 32 * 8];
        let tensors: Vec<(TensorInfo, &[u8])> = shapes
            .into_iter()
            .map(|(name, shape)| {
                let bytes = 4 * shape.iter().product::<usize>();
                (TensorInfo { name, shape, dtype: Dtype::F32 }, &zeros[..bytes])
            })
            .collect();
        temper_artifact::write::safetensors(&folder.join("model.safetensors"), &tensors, &[]).expect("written");
        self.edit("pvc://models/base.gguf", "pvc://models/tiny");
    }

    /// The command, in the setting's folder and without anything of this process's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
        command.args(arguments);
        self.isolate(&mut command);
        command
    }

    /// `temper run` on the manifest as if typed at a terminal. What comes to the terminal comes out of the command, and what goes into the
    /// command is typed there; `redirections` may send something elsewhere.
    pub(crate) fn on_a_terminal(&self, redirections: &str) -> Command {
        let temper = env!("CARGO_BIN_EXE_temper");
        let typed =
            format!("stty cols 100 rows 30; exec '{temper}' run -f job.yaml --volume models=models --volume data=data {redirections}");
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--return", "--command", &typed, "/dev/null"]);
        self.isolate(&mut command);
        command.env("TERM", "xterm-256color");
        command
    }

    fn isolate(&self, command: &mut Command) {
        command.current_dir(self.root.path()).env_clear();
        command.envs([("PATH", std::env::var_os("PATH").unwrap_or_default()), ("SECRET", "x".into())]);
        command.envs([("TEMPER_HOME", self.path("home")), ("TEMPER_TRAINER", self.path("trainer/temper-trainer"))]);
    }

    pub(crate) fn temper(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("started"), self.root.path())
    }

    /// `temper run` on the manifest.
    pub(crate) fn run(&self, more: &[&str]) -> Ran {
        self.temper(&[&["run", "-f", "job.yaml", "--volume", "models=models", "--volume", "data=data"], more].concat())
    }

    /// What the trainer was called with: the stages.
    pub(crate) fn stages(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("trainer/calls")).unwrap_or_default();
        calls.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }

    /// The only run's folder.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let mut runs: Vec<PathBuf> =
            fs::read_dir(self.path("home/runs")).expect("runs").map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    /// Numbers of the registered versions.
    pub(crate) fn versions(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("home/registry/listings")) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Ran {
    fn of(output: Output, root: &Path) -> Self {
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("text");
            let root = root.canonicalize().expect("a path");
            mask(&text.replace(&*root.to_string_lossy(), "ROOT").replace(env!("CARGO_BIN_EXE_temper"), "temper"))
        };
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn says(self, part: &str) -> Self {
        let whole = format!("{}\n{}", self.stdout, self.stderr);
        assert!(whole.contains(part), "no {part:?} in\n{whole}");
        self
    }
}

/// Takes out what differs from run to run: how long publishing took, and the eight digits of a run's folder.
fn mask(text: &str) -> String {
    let text = match text.split_once(", publish ") {
        Some((before, after)) => {
            let tenths = after.find(" s").unwrap_or(0);
            &format!("{before}, publish {}{}", "T".repeat(tenths), &after[tenths..])
        }
        None => text,
    };
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("listings-") {
        let (before, after) = rest.split_at(at + "listings-".len());
        masked.push_str(before);
        let digits = after.chars().take_while(char::is_ascii_hexdigit).count();
        masked.push_str(if digits == 8 { "DIGEST" } else { &after[..digits] });
        rest = &after[digits..];
    }
    masked + rest
}
