//! Questions to `temper-trainer` outside a job: generate, evaluate, inspect.

use crate::exit::{Exit, Stop};
use crate::local::disk;
use crate::local::environment;
use crate::local::last_words;
use crate::local::process::{Launch, Message, Output, Running};
use crate::local::signals::Watch;
use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use temper_contract::report::{EvaluationReport, Generation};
use temper_contract::request::{EvaluateRequest, GenerateRequest, InspectReport};
use temper_contract::{ExitCode, TrainerConfig};

/// A trainer binary to ask.
#[derive(Clone, Debug)]
pub struct Trainer {
    binary: PathBuf,
}

impl Trainer {
    /// The trainer at this path.
    pub fn new(binary: PathBuf) -> Self {
        Self { binary }
    }

    /// Answers to the request's prompts; each is shown to `on_answer` as soon as it is there.
    pub fn generate(&self, request: &GenerateRequest, mut on_answer: impl FnMut(&Generation)) -> Result<Vec<Generation>> {
        let mut answers = Vec::new();
        self.ask("generate", "--request", request, request.compute.threads, |line| {
            if let Ok(answer) = serde_json::from_str::<Generation>(line) {
                on_answer(&answer);
                answers.push(answer);
            }
        })?;
        anyhow::ensure!(
            answers.len() == request.prompts.len(),
            "temper-trainer answered {} of {} prompts; is it of this version of temper?",
            answers.len(),
            request.prompts.len()
        );
        Ok(answers)
    }

    /// The loss of a model on a data set.
    pub fn evaluate(&self, request: &EvaluateRequest) -> Result<EvaluationReport> {
        self.one_answer("evaluate", "--request", request, request.compute.threads)
    }

    /// What a job's model and data say about it.
    pub fn inspect(&self, config: &TrainerConfig) -> Result<InspectReport> {
        self.one_answer("inspect", "--config", config, config.parallelism.threads_per_proc)
    }

    /// What `temper-trainer --version` prints.
    pub fn version(&self) -> Option<String> {
        let output = Command::new(&self.binary).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn one_answer<Q: Serialize, A: DeserializeOwned>(&self, verb: &str, flag: &str, question: &Q, threads: usize) -> Result<A> {
        let mut answer = None;
        self.ask(verb, flag, question, threads, |line| answer = serde_json::from_str(line).ok().or(answer.take()))?;
        answer.with_context(|| format!("temper-trainer {verb} gave no answer that this temper understands; are both of one version?"))
    }

    /// Runs `temper-trainer VERB FLAG FILE` and hands over its output's lines.
    fn ask<Q: Serialize>(&self, verb: &str, flag: &str, question: &Q, threads: usize, mut on_line: impl FnMut(&str)) -> Result<()> {
        let folder = tempfile::Builder::new()
            .prefix("temper-")
            .tempdir()
            .map_err(disk::refused_temporary(|| "cannot make a temporary folder".to_owned()))?;
        let (request, log, last) = (folder.path().join("request.json"), folder.path().join("log"), folder.path().join("last-words"));
        fs::write(&request, serde_json::to_vec(question).context("cannot write the request")?)
            .map_err(disk::refused_temporary(|| format!("cannot write {}", request.display())))?;
        let (sender, receiver) = channel();
        let _watch = Watch::start(sender.clone()).context("cannot watch for signals")?;
        let launch = Launch {
            program: self.binary.clone(),
            arguments: vec![OsString::from(verb), OsString::from(flag), request.into_os_string()],
            environment: environment::base(std::env::vars_os(), &BTreeMap::new(), threads, &last),
            log: log.clone(),
            output: Output::Lines,
            stdin: File::open("/dev/null").context("cannot open /dev/null")?,
        };
        let _running = Running::start(launch, 0, sender).with_context(|| format!("cannot start {}", self.binary.display()))?;
        let status = loop {
            match receiver.recv().context("nobody tells how the trainer ended")? {
                Message::Line { line, .. } => on_line(&line),
                Message::Exited { status, .. } => break status,
                Message::Interrupt => return Err(Stop::new(Exit::Interrupted, "interrupted", "").into()),
                Message::Event { .. } => {}
            }
        };
        if status.success() {
            return Ok(());
        }
        let words = last_words::read(&last, status, &log);
        let exit = match words.reason {
            ExitCode::InvalidInput | ExitCode::Usage => Exit::InvalidInput,
            _ => Exit::Unexpected,
        };
        // The log goes with the temporary folder, so it cannot be the next step.
        let next_step = if words.next_step.contains(&*log.to_string_lossy()) { String::new() } else { words.next_step };
        Err(Stop::new(exit, format!("temper-trainer {verb}: {}", words.message), next_step).into())
    }
}
