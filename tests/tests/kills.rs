//! `temper run` of a small model, killed at moments from prepare to register: what was committed stays, and the adapter's bytes are those of
//! a run that nobody disturbed.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use temper_tests::binaries::binary;
use temper_tests::job::write_rows;
use temper_tests::reference;

const MANIFEST: &str = "\
apiVersion: temper.dev/v1alpha1
kind: FineTuneJob
metadata: {name: sentences}
spec:
  baseModel: {storageUri: pvc://models/llama}
  dataset: {storageUri: pvc://data/rows.jsonl, format: prompt-completion, validation: {split: '0.1'}, maxLength: 96}
  method: {type: lora, lora: {r: 4, loraAlpha: 8, loraDropout: '0.1', targetModules: [all-linear]}}
  hyperparameters: {maxSteps: 12, perDeviceTrainBatchSize: 2, learningRate: '5e-3', precision: fp32, seed: 3}
  evaluation: {evalSteps: 5}
  trainer: {numNodes: 1, numProcPerNode: 2, resourcesPerNode: {limits: {cpu: '2'}}}
  checkpoint: {saveSteps: 2, saveTotalLimit: 2}
  failurePolicy: {maxRestarts: RESTARTS}
  output: {register: {modelName: sentences}}
";
/// Moments at which a run is killed, spread evenly over its output.
const MOMENTS: usize = 20;

/// A home of its own for one run.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(restarts: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        write_rows(&folder.path().join("data/rows.jsonl"), 60);
        std::fs::write(folder.path().join("job.yaml"), MANIFEST.replace("RESTARTS", &restarts.to_string())).unwrap();
        Self { folder }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(binary("temper"));
        let volume = |name: &str, folder: &Path| format!("{name}={}", folder.display());
        command.arg("run").arg("-f").arg(self.folder.path().join("job.yaml")).arg("--home").arg(self.folder.path().join("home"));
        command.args(["--volume", &volume("models", reference::models()), "--volume", &volume("data", &self.folder.path().join("data"))]);
        command.process_group(0).env_remove("TEMPER_HOME");
        command
    }

    /// Starts a run; the reader gives both of its output streams.
    fn start(&self, kill_at: Option<&str>) -> (Child, BufReader<impl Read + use<>>) {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = self.command();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        if let Some(place) = kill_at {
            command.env("TEMPER_KILL_AT", place);
        }
        (command.spawn().unwrap(), BufReader::new(reader))
    }

    /// Runs to the end; whether it succeeded, and what it printed.
    fn run(&self, kill_at: Option<&str>) -> (bool, String) {
        let (mut child, mut reader) = self.start(kill_at);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        (child.wait().unwrap().success(), text)
    }

    /// Runs until the job is complete, which it must be after a few runs.
    fn complete(&self) {
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

    /// The registered adapter's bytes. There must be exactly one version.
    fn adapter(&self) -> Vec<u8> {
        let versions = self.folder.path().join("home/registry/sentences");
        let names: Vec<PathBuf> = std::fs::read_dir(&versions).unwrap().map(|entry| entry.unwrap().path()).collect();
        let numbered: Vec<&PathBuf> = names.iter().filter(|path| path.join("model-version.yaml").is_file()).collect();
        assert_eq!(numbered.len(), 1, "{names:?}");
        std::fs::read(numbered[0].join("model/adapter_model.safetensors")).unwrap()
    }
}

/// All processes below `pid`, parents first.
fn descendants(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let texts = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> =
        texts.flat_map(|text| text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect();
    children.into_iter().flat_map(|child| std::iter::once(child).chain(descendants(child))).collect()
}

fn kill(pid: u32) {
    // A process that has just ended by itself is as good as killed.
    let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL);
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_bytes() {
    let undisturbed = Place::new(5);
    let (success, text) = undisturbed.run(None);
    assert!(success, "{text}");
    let (expected, lines) = (undisturbed.adapter(), text.lines().count());
    assert!(lines >= MOMENTS, "{lines} lines cannot tell {MOMENTS} moments apart");

    for moment in 0..MOMENTS {
        let place = Place::new(5);
        let (mut child, reader) = place.start(None);
        // The line after which to strike: one of this moment's share, chosen by a fixed rule.
        let line = (moment * lines + (moment * 7919) % lines) / MOMENTS;
        let mut output = reader.lines();
        output.by_ref().take(line + 1).for_each(|line| drop(line.unwrap()));
        // In turns: the command itself, with which everything ends, and the last process below it (a rank, while there are ranks).
        if moment % 2 == 0 {
            kill(child.id());
        } else {
            descendants(child.id()).last().copied().into_iter().for_each(kill);
        }
        output.for_each(drop);
        child.wait().unwrap();
        place.complete();
        assert!(place.adapter() == expected, "moment {moment}: killed after line {line} of {lines}");
    }
}

#[test]
fn a_run_killed_inside_each_commit_ends_with_the_same_bytes() {
    let undisturbed = Place::new(0);
    let (success, text) = undisturbed.run(None);
    assert!(success, "{text}");
    let expected = undisturbed.adapter();
    let trainer = temper_trainer::kill_point::ALL.map(|name| format!("group:{name}"));
    let command = temper_cli::local::fault::ALL.map(String::from);
    for name in trainer.iter().chain(&command) {
        let place = Place::new(0);
        let (success, text) = place.run(Some(name));
        assert!(!success, "{name} was never reached:\n{text}");
        place.complete();
        assert!(place.adapter() == expected, "{name}");
    }
}
