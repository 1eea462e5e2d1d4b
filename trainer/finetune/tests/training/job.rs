//! A job in a temporary folder, and its processes.

use crate::tiny_model::{write_model, write_rows};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use temper_contract::config::{
    BaseModel, ChatTemplate, Checkpoint, Dataset, DatasetFormat, Device, Evaluation, ExcessLengthStrategy, Failure, Filters,
    Hyperparameters, Lora, LrSchedulerType, Method, Output, Parallelism, Precision, Validation,
};
use temper_contract::event::StepRecord;
use temper_contract::report::{PublishReport, TrainReport};
use temper_contract::{Event, LastWord, TerminationMessage, TrainerConfig, env, layout};

/// A test fails rather than hang: no event of a tiny job takes so long, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A configuration with its files.
pub(crate) struct Job {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) config: TrainerConfig,
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Job {
    /// Twelve LoRA steps of two micro-batches on one rank, a checkpoint every three, an evaluation every four.
    pub(crate) fn new() -> Self {
        Self::with_rows(40, None)
    }

    /// As [`Job::new`] with this many rows, one of which may be poison for the model.
    pub(crate) fn with_rows(rows: usize, poisoned_row: Option<usize>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        write_model(&at("model"), poisoned_row.is_some());
        write_rows(&at("rows.jsonl"), rows, poisoned_row);
        write_rows(&at("held-out.jsonl"), 9, None);
        let config = TrainerConfig {
            job_name: "tiny".to_owned(),
            run_folder: at("run"),
            checkpoint_folder: at("run/checkpoints"),
            output_folder: at("output"),
            base_model: BaseModel { path: at("model"), uri: "file:///models/tiny".to_owned(), fetch: None },
            dataset: Dataset {
                path: at("rows.jsonl"),
                fetch: None,
                fetch_validation: None,
                format: DatasetFormat::PromptCompletion,
                validation: Some(Validation::Path(at("held-out.jsonl"))),
                chat_template: ChatTemplate::TokenizerDefault,
                max_length: 64,
                excess_length_strategy: ExcessLengthStrategy::Truncate,
                packing: false,
                filters: Filters { max_rejected_fraction: 1.0, ..Filters::default() },
                seed: 1,
            },
            method: Method::Lora(Lora {
                r: 4,
                lora_alpha: 8.0,
                lora_dropout: 0.1,
                target_modules: vec!["all-linear".to_owned()],
                use_rslora: false,
            }),
            hyperparameters: Hyperparameters {
                num_train_epochs: 1.0,
                max_steps: Some(12),
                per_device_train_batch_size: 2,
                learning_rate: 1e-2,
                lr_scheduler_type: LrSchedulerType::Cosine,
                warmup_steps: 3,
                weight_decay: 0.01,
                adam_beta1: 0.9,
                adam_beta2: 0.999,
                adam_epsilon: 1e-8,
                max_grad_norm: 1.0,
                precision: Precision::Fp32,
                seed: 42,
            },
            evaluation: Evaluation { eval_steps: Some(4), per_device_eval_batch_size: 2, early_stopping_patience: None },
            parallelism: Parallelism {
                num_nodes: 1,
                num_proc_per_node: 1,
                threads_per_proc: 1,
                micro_batches_per_step: 2,
                device: Device::Cpu,
            },
            checkpoint: Checkpoint { save_steps: Some(3), save_total_limit: 2, mirror: None },
            failure: Failure {
                max_restarts: 0,
                heartbeat_timeout_seconds: 60,
                stall_timeout_seconds: 120,
                max_non_finite_steps: 3,
                rendezvous_timeout_seconds: 60,
            },
            output: Output { merge_adapter: false, upload: None },
        };
        Self { folder, config, variables: Vec::new() }
    }

    /// On so many ranks of one node.
    pub(crate) fn ranks(mut self, ranks: usize) -> Self {
        self.config.parallelism.num_proc_per_node = ranks;
        self
    }

    /// With a change to the configuration.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut TrainerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// With an environment variable for the processes that are started from now on.
    pub(crate) fn variable(&mut self, name: &'static str, value: impl Into<String>) -> &mut Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn termination_path(&self) -> PathBuf {
        self.path("termination.json")
    }

    /// The command for a stage, with nothing of this test's environment that could matter.
    pub(crate) fn command(&self, stage: &str) -> Command {
        let config_path = self.path("config.json");
        fs::write(&config_path, serde_json::to_vec(&self.config).expect("plain fields")).expect("writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper-trainer"));
        command.arg(stage).arg("--config").arg(config_path);
        self.isolate(&mut command);
        command
    }

    /// Leaves a command only this job's variables.
    pub(crate) fn isolate(&self, command: &mut Command) {
        for name in [
            env::MASTER_ADDR,
            env::MASTER_PORT,
            env::RANK,
            env::WORLD_SIZE,
            env::NODE_RANK,
            env::ATTEMPT,
            env::GENERATION,
            env::KILL_AT,
            env::METRICS_PORT,
            env::LOG_FORMAT,
        ] {
            command.env_remove(name);
        }
        command.env(env::TERMINATION_MESSAGE_PATH, self.termination_path()).env("RUST_LOG", "info").process_group(0);
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
    }

    /// Runs a stage to its end.
    pub(crate) fn run(&self, stage: &str) -> Outcome {
        self.start(stage).finish()
    }

    /// Runs a stage that must succeed.
    pub(crate) fn must(&self, stage: &str) -> Outcome {
        let outcome = self.run(stage);
        assert!(outcome.status.success(), "{stage}: {:?}\n{}", outcome.status, outcome.log);
        outcome
    }

    /// Runs all stages, each of which must succeed.
    pub(crate) fn complete(&self) {
        for stage in ["prepare", "train", "publish"] {
            self.must(stage);
        }
    }

    /// Starts a stage.
    pub(crate) fn start(&self, stage: &str) -> Running {
        Running::start(self.command(stage))
    }

    pub(crate) fn termination(&self) -> TerminationMessage {
        read(&self.termination_path())
    }

    /// What the stage that ran last left as its last word.
    pub(crate) fn last_word(&self) -> LastWord {
        let text = fs::read_to_string(self.termination_path()).expect("a stage leaves a word");
        LastWord::parse(&text).expect("a trainer's")
    }

    pub(crate) fn steps(&self) -> Vec<StepRecord> {
        let text = fs::read_to_string(self.config.run_folder.join(layout::STEP_LOG)).expect("training leaves a log");
        text.lines().map(|line| serde_json::from_str(line).expect("whole lines")).collect()
    }

    pub(crate) fn train_report(&self) -> TrainReport {
        read(&self.config.run_folder.join(layout::TRAIN_REPORT))
    }

    pub(crate) fn publish_report(&self) -> PublishReport {
        read(&self.config.run_folder.join(layout::PUBLISH_REPORT))
    }

    /// The published weights.
    pub(crate) fn adapter(&self) -> Vec<u8> {
        fs::read(self.config.output_folder.join("adapter_model.safetensors")).expect("publish leaves an adapter")
    }

    /// Folders of checkpoints with a manifest, by step.
    pub(crate) fn checkpoints(&self, attempt: u64) -> Vec<PathBuf> {
        let attempt = self.config.checkpoint_folder.join(layout::attempt_folder(attempt));
        let mut folders: Vec<PathBuf> = fs::read_dir(attempt).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        folders.retain(|folder| folder.join(layout::CHECKPOINT_MANIFEST).is_file());
        folders.sort();
        folders
    }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).expect("the contract's JSON")
}

/// How a stage ended.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) events: Vec<Event>,
    pub(crate) log: String,
}

impl Outcome {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or(0))
    }

    /// Checks the exit code, with the log for the reader.
    pub(crate) fn expect(&self, code: temper_contract::ExitCode) -> &Self {
        assert_eq!(self.code(), i32::from(code.code()), "{code:?} was expected\n{}", self.log);
        self
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.texts(|event| if let Event::Warning { message } = event { Some(message) } else { None })
    }

    pub(crate) fn restarts(&self) -> Vec<&str> {
        self.texts(|event| if let Event::Restarting { reason, .. } = event { Some(reason) } else { None })
    }

    fn texts(&self, of: impl Fn(&Event) -> Option<&String>) -> Vec<&str> {
        self.events.iter().filter_map(|event| of(event).map(String::as_str)).collect()
    }
}

/// A stage under way; dropped, it is killed with its whole process group.
pub(crate) struct Running {
    child: Child,
    events: Receiver<Event>,
    /// Lines of standard error; the end of it is the end of every process of the run.
    log: Receiver<String>,
    seen: Vec<Event>,
    log_seen: String,
    is_over: bool,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is built");
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let (event_sender, events) = channel();
        let (log_sender, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(event) = Event::from_line(&line) {
                    let _ = event_sender.send(event);
                }
            }
        });
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let _ = log_sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { child, events, log, seen: Vec::new(), log_seen: String::new(), is_over: false }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Process ids of the ranks, in the order of their start.
    pub(crate) fn ranks(&self) -> Vec<i32> {
        children(self.pid())
    }

    /// Waits for an event.
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {what} came; seen: {:?}", self.seen));
            self.seen.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Waits for a line of the log with these words.
    pub(crate) fn wait_for_log(&mut self, words: &str) {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line has {words:?}:\n{}", self.log_seen));
            self.log_seen += &line;
            self.log_seen.push('\n');
            if line.contains(words) {
                return;
            }
        }
    }

    pub(crate) fn wait_for_step(&mut self, step: u64) {
        self.wait_for("step", |event| matches!(event, Event::Step(record) if record.step >= step));
    }

    /// Waits for the end of the process and of everything that holds its standard error.
    pub(crate) fn finish(mut self) -> Outcome {
        let mut log = std::mem::take(&mut self.log_seen);
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) => log += &(line + "\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("not every process of the run has ended:\n{log}"),
            }
        }
        let status = self.child.wait().expect("it was started");
        self.is_over = true;
        let mut events = std::mem::take(&mut self.seen);
        events.extend(self.events.iter());
        Outcome { status, events, log }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let group = rustix::process::Pid::from_raw(self.pid()).expect("not zero");
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process of this test's own.
pub(crate) fn send(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).expect("not zero"), signal).expect("it lives");
}

/// Sends a signal to all processes of a stage: its own group.
pub(crate) fn send_to_all(running: &Running, signal: rustix::process::Signal) {
    let group = rustix::process::Pid::from_raw(running.pid()).expect("not zero");
    rustix::process::kill_process_group(group, signal).expect("they live");
}

/// Process ids of a process's children.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it lives");
    children.split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
}
