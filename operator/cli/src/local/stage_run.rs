//! The processes of one try at a stage.

use crate::local::environment::{self, Node};
use crate::local::job::LocalJob;
use crate::local::lock::Lock;
use crate::local::process::{Launch, Message, Output, Running};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::Sender;
use std::time::Instant;
use temper_planner::Stage;

/// The processes of one try: one a node.
#[derive(Debug)]
pub struct StageRun {
    nodes: Vec<Running>,
    statuses: Vec<Option<ExitStatus>>,
    /// The first that ended otherwise than well.
    failed: Option<(usize, ExitStatus)>,
    terminating: bool,
    kill_at: Option<Instant>,
}

impl StageRun {
    /// Starts `temper-trainer STAGE` on every node. The calling thread must outlive the processes.
    pub fn start(
        job: &LocalJob,
        trainer: &Path,
        stage: Stage,
        attempt: u64,
        nodes: usize,
        lock: Lock,
        messages: &Sender<Message>,
    ) -> Result<Self> {
        let parallelism = &job.validated.parallelism;
        // The supervisor of a single node lets the system choose a port; those of several must know node 0's before it is bound.
        let master_port = (nodes > 1).then(environment::free_port).transpose().context("no TCP port is free on 127.0.0.1")?;
        let mut running = Vec::with_capacity(nodes);
        for rank in 0..nodes {
            let last_words = job.run.last_words(stage, attempt, rank);
            // A try of this number may have been started before by an executor that did not live to write that down.
            match fs::remove_file(&last_words) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", last_words.display()));
                }
                _ => {}
            }
            let mut base = environment::base(std::env::vars_os(), &job.environment, parallelism.threads_per_proc, &last_words);
            if job.takes_identity() {
                base.extend(environment::identity(std::env::vars_os()));
            }
            let node = Node { rank, world_size: parallelism.world_size(), master_port, attempt };
            let launch = Launch {
                program: trainer.to_path_buf(),
                arguments: vec![stage.name().into(), "--config".into(), job.run.config().into_os_string()],
                environment: if stage == Stage::Train { environment::for_node(base, node) } else { base },
                log: job.run.log(stage, attempt, rank),
                output: Output::Events,
                stdin: lock.share().context("cannot share the stage's lock")?,
            };
            running.push(Running::start(launch, rank, messages.clone()).with_context(|| format!("cannot start {}", trainer.display()))?);
        }
        Ok(Self { statuses: vec![None; nodes], nodes: running, failed: None, terminating: false, kill_at: None })
    }

    /// SIGTERM to all that live, and SIGKILL to those that still do at `kill_at`.
    pub fn terminate(&mut self, kill_at: Instant) {
        self.terminate_patiently();
        self.kill_at.get_or_insert(kill_at);
    }

    /// SIGTERM to all that live: they save a checkpoint and end, however long that takes.
    pub fn terminate_patiently(&mut self) {
        if !std::mem::replace(&mut self.terminating, true) {
            self.nodes.iter().for_each(Running::terminate);
        }
    }

    /// SIGKILL to all that live.
    pub fn kill(&mut self) {
        self.kill_at = None;
        self.nodes.iter().for_each(Running::kill);
    }

    /// When to call `kill`.
    pub fn kill_at(&self) -> Option<Instant> {
        self.kill_at
    }

    /// One process is gone; whether all are now. If it failed, the others are told to stop.
    pub fn exited(&mut self, node: usize, status: ExitStatus, kill_others_at: Instant) -> bool {
        if let Some(slot) = self.statuses.get_mut(node) {
            *slot = Some(status);
        }
        if !status.success() && self.failed.is_none() {
            self.failed = Some((node, status));
        }
        let all = self.statuses.iter().all(Option::is_some);
        if !all && !status.success() {
            self.terminate(kill_others_at);
        }
        all
    }

    /// The process that failed first and how; the first one if none failed.
    pub fn first_failure(&self) -> (usize, ExitStatus) {
        self.failed.unwrap_or_else(|| (0, self.statuses.first().copied().flatten().unwrap_or_default()))
    }
}
