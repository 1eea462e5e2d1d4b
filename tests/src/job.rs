//! Small jobs for `temper-trainer`, as configurations in a temporary folder.

use crate::binaries::{binary, succeed};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A job's folder and configuration.
#[derive(Debug)]
pub struct Job {
    folder: tempfile::TempDir,
    /// The configuration, written by [`Job::write`].
    pub config: Value,
}

impl Job {
    /// LoRA on the model at `model` with the rows at `data`: fp32, no dropout, warm-up, clipping and accumulation on.
    pub fn lora(model: &Path, data: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = folder.path().join("run");
        let config = json!({
            "jobName": "parity", "runFolder": run, "checkpointFolder": run.join("checkpoints"), "outputFolder": run.join("output"),
            "baseModel": {"path": model, "uri": format!("file://{}", model.display())},
            "dataset": {
                "path": data, "format": "prompt-completion", "validation": null, "chatTemplate": "tokenizerDefault", "maxLength": 96,
                "excessLengthStrategy": "truncate", "packing": false, "seed": 3,
                "filters": {"minLength": null, "maxLength": null, "exactDeduplication": false, "includePattern": null, "excludePattern": null,
                    "maxRejectedFraction": 0.0},
            },
            "method": {"lora": {"r": 4, "loraAlpha": 8.0, "loraDropout": 0.0, "targetModules": ["all-linear"], "useRslora": false}},
            "hyperparameters": {
                "numTrainEpochs": 1.0, "maxSteps": 30, "perDeviceTrainBatchSize": 3, "learningRate": 5e-3, "lrSchedulerType": "cosine",
                "warmupSteps": 5, "weightDecay": 0.01, "adamBeta1": 0.9, "adamBeta2": 0.999, "adamEpsilon": 1e-8, "maxGradNorm": 0.5,
                "precision": "fp32", "seed": 9,
            },
            "evaluation": {"evalSteps": null, "perDeviceEvalBatchSize": 4, "earlyStoppingPatience": null},
            "parallelism": {"numNodes": 1, "numProcPerNode": 1, "threadsPerProc": 1, "microBatchesPerStep": 2, "device": "cpu"},
            "checkpoint": {"saveSteps": null, "saveTotalLimit": 2},
            "failure": {"maxRestarts": 0, "heartbeatTimeoutSeconds": 60, "stallTimeoutSeconds": 300, "maxNonFiniteSteps": 0,
                "rendezvousTimeoutSeconds": 60},
            "output": {"mergeAdapter": false},
        });
        Self { folder, config }
    }

    /// The same with every parameter trained.
    pub fn full(model: &Path, data: &Path) -> Self {
        let mut job = Self::lora(model, data);
        job.config["method"] = json!("full");
        job.config["hyperparameters"]["learningRate"] = json!(1e-3);
        job
    }

    /// Where the job's own files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The run's folder.
    pub fn run_folder(&self) -> PathBuf {
        self.folder().join("run")
    }

    /// Writes the configuration and returns its path.
    pub fn write(&self) -> PathBuf {
        std::fs::create_dir_all(self.run_folder()).expect("a folder in the temporary folder");
        let path = self.run_folder().join(temper_contract::layout::CONFIG);
        std::fs::write(&path, self.config.to_string()).expect("the configuration is written");
        path
    }

    /// Runs one stage of `temper-trainer`, which must succeed.
    pub fn stage(&self, stage: &str) -> String {
        succeed(Command::new(binary("temper-trainer")).arg(stage).arg("--config").arg(self.write()))
    }

    /// Writes what the steps see (`batches.jsonl`, `initial-adapter/`) into the job's folder. The job must be prepared.
    pub fn write_inputs(&self) {
        succeed(Command::new(binary("temper-bench-inputs")).arg("--config").arg(self.write()).arg("--output").arg(self.folder()));
    }

    /// The step log, as JSON objects.
    pub fn steps(&self) -> Vec<Value> {
        json_lines(&std::fs::read_to_string(self.run_folder().join(temper_contract::layout::STEP_LOG)).expect("the job wrote its step log"))
    }
}

/// The JSON objects of a text with one a line; other lines are passed over.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().filter(|line| line.starts_with('{')).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Rows of short sentences in prompt-completion form, of uneven lengths; always the same.
pub fn write_rows(path: &Path, rows: usize) {
    const WORDS: [&str; 12] = ["river", "lamp", "stone", "and", "the", "quiet", "harbor", "opens", "at", "dawn", "over", "glass"];
    let mut state = 17usize;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut sentence = |least: usize| (0..least + next(9)).map(|_| WORDS[next(WORDS.len())]).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> =
        (0..rows).map(|_| json!({"prompt": sentence(1), "completion": format!(" {}", sentence(2))}).to_string()).collect();
    std::fs::write(path, lines.join("\n")).expect("the rows are written");
}
