//! A rank as a child process.

use super::cause::End;
use super::node::Node;
use super::rank_output;
use crate::failure::{Failure, Result};
use crate::termination;
use rustix::process::{Pid, Signal, kill_process};
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use temper_contract::{Event, env};

/// What a rank's standard output says.
pub(super) enum Heard {
    /// An event.
    Event(Event),
    /// The end: the process is gone, or nearly always will be in a moment.
    Closed,
}

/// A running rank. Dropping it kills it.
pub(super) struct RankProcess {
    pub(super) rank: usize,
    child: Child,
    message_path: PathBuf,
}

impl RankProcess {
    /// Starts rank `local_rank` of the node; what it says goes to `heard` with its local number.
    pub(super) fn start(node: &Node, local_rank: usize, generation: u64, heard: Sender<(usize, Heard)>) -> Result<Self> {
        let rank = node.first_rank() + local_rank;
        let message_path = node.log_folder.join(format!("rank-{rank}.termination.json"));
        // What an earlier generation left must not be taken for this one's.
        let _ = std::fs::remove_file(&message_path);
        let mut command = command(node, local_rank, generation, &message_path);
        let failed =
            |error: std::io::Error| Failure::unexpected(format!("failed to start rank {rank} ({}): {error}", node.executable.display()));
        let mut child = command.spawn().map_err(failed)?;
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            if let Some(stdout) = stdout {
                rank_output::read(BufReader::new(stdout), |event| heard.send((local_rank, Heard::Event(event))).is_ok());
            }
            // Nobody listens any more once the generation is over.
            let _ = heard.send((local_rank, Heard::Closed));
        });
        Ok(Self { rank, child, message_path })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks it to write a checkpoint and end.
    pub(super) fn terminate(&self) {
        // The child has not been waited for, so its id is still its own.
        if let Err(error) = kill_process(self.pid(), Signal::TERM) {
            tracing::warn!(rank = self.rank, "failed to send SIGTERM: {error}");
        }
    }

    /// How it ended, if it has. It does not wait: a rank may have closed its output and live on, stuck, while others are to be watched.
    pub(super) fn end(&mut self) -> Result<Option<End>> {
        let status = self.child.try_wait();
        let status = status.map_err(|error| Failure::unexpected(format!("failed to wait for rank {}: {error}", self.rank)))?;
        Ok(status.map(|status| match status.code() {
            Some(code) => {
                End::Exited { code, message: termination::read(&self.message_path).map(|message| message_of_rank(message, self.rank)) }
            }
            None => End::Signalled(status.signal().unwrap_or_default()),
        }))
    }

    /// Ends it at once; one that has ended already stays as it was.
    pub(super) fn kill(&mut self) {
        // Fails only for a child that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What starts the rank, with the variables that tell it who it is.
fn command(node: &Node, local_rank: usize, generation: u64, message_path: &Path) -> Command {
    let parallelism = &node.config.parallelism;
    let mut command = Command::new(&node.executable);
    command
        .arg("rank")
        .arg("--config")
        .arg(&node.config_path)
        .env(env::MASTER_ADDR, &node.master_address)
        .env(env::MASTER_PORT, node.master_port.to_string())
        .env(env::WORLD_SIZE, parallelism.world_size().to_string())
        .env(env::RANK, (node.first_rank() + local_rank).to_string())
        .env(env::LOCAL_RANK, local_rank.to_string())
        .env(env::NODE_RANK, node.node_rank.to_string())
        .env(env::ATTEMPT, node.attempt.to_string())
        .env(env::GENERATION, generation.to_string())
        .env(env::OMP_NUM_THREADS, parallelism.threads_per_proc.to_string())
        .env(env::PARENT_PID, std::process::id().to_string())
        .env(env::TERMINATION_MESSAGE_PATH, message_path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if generation > 0 {
        command.env_remove(env::KILL_AT);
    }
    command
}

impl Drop for RankProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn message_of_rank(mut message: temper_contract::TerminationMessage, rank: usize) -> temper_contract::TerminationMessage {
    message.rank.get_or_insert(rank);
    message
}

#[cfg(test)]
mod tests {
    use super::{End, Node, RankProcess, command};
    use serde_json::json;
    use std::io::Read;
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::{Command, Stdio};

    /// A node alone, with two ranks.
    fn node(folder: &Path) -> Node {
        let config = json!({
            "jobName": "tiny", "runFolder": folder, "checkpointFolder": folder.join("checkpoints"), "outputFolder": folder.join("output"),
            "baseModel": {"path": "/models/tiny", "uri": "file:///models/tiny"},
            "dataset": {
                "path": "/data/rows.jsonl", "format": "text", "validation": null, "chatTemplate": "tokenizerDefault", "maxLength": 64,
                "excessLengthStrategy": "truncate", "packing": false, "seed": 0,
                "filters": {"minLength": null, "maxLength": null, "exactDeduplication": false, "includePattern": null, "excludePattern": null,
                    "maxRejectedFraction": 0.0},
            },
            "method": "full",
            "hyperparameters": {
                "numTrainEpochs": 1.0, "maxSteps": null, "perDeviceTrainBatchSize": 1, "learningRate": 1e-3, "lrSchedulerType": "constant",
                "warmupSteps": 0, "weightDecay": 0.0, "adamBeta1": 0.9, "adamBeta2": 0.999, "adamEpsilon": 1e-8, "maxGradNorm": 0.0,
                "precision": "fp32", "seed": 0,
            },
            "evaluation": {"evalSteps": null, "perDeviceEvalBatchSize": 1, "earlyStoppingPatience": null},
            "parallelism": {"numNodes": 1, "numProcPerNode": 2, "threadsPerProc": 3, "microBatchesPerStep": 2, "device": "cpu"},
            "checkpoint": {"saveSteps": null, "saveTotalLimit": 1},
            "failure": {"maxRestarts": 0, "heartbeatTimeoutSeconds": 10, "stallTimeoutSeconds": 60, "maxNonFiniteSteps": 0,
                "rendezvousTimeoutSeconds": 60},
            "output": {"mergeAdapter": false},
        });
        let config = serde_json::from_value(config).expect("a configuration");
        Node::join(&config, &folder.join("config.json"), 0).expect("nobody else is needed")
    }

    /// What a rank's environment says.
    fn told(command: &Command, name: &str) -> Option<String> {
        let (_, value) = command.get_envs().find(|(known, _)| *known == name)?;
        value.map(|value| value.to_string_lossy().into_owned())
    }

    #[test]
    fn each_rank_is_told_who_it_is_by_the_variables_that_pytorch_knows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut node = node(folder.path());
        node.config.parallelism.num_nodes = 3;
        (node.master_address, node.master_port) = ("job-0.job".to_owned(), 29_500);
        for (node_rank, local_rank, rank) in [(0, 0, "0"), (0, 1, "1"), (1, 0, "2"), (2, 1, "5")] {
            node.node_rank = node_rank;
            let command = command(&node, local_rank, 0, Path::new("/nowhere/termination.json"));
            let (on_its_node, of_its_node) = (local_rank.to_string(), node_rank.to_string());
            let expected = [
                ("RANK", rank),
                ("LOCAL_RANK", on_its_node.as_str()),
                ("WORLD_SIZE", "6"),
                ("NODE_RANK", of_its_node.as_str()),
                ("MASTER_ADDR", "job-0.job"),
                ("MASTER_PORT", "29500"),
                ("OMP_NUM_THREADS", "3"),
            ];
            for (name, value) in expected {
                assert_eq!(told(&command, name).as_deref(), Some(value), "{name} of rank {rank}");
            }
        }
    }

    #[test]
    fn the_ranks_of_a_single_node_meet_at_the_port_that_the_system_chose() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = node(folder.path());
        let command = command(&node, 1, 0, Path::new("/nowhere/termination.json"));
        let (host, port) = (told(&command, "MASTER_ADDR").expect("set"), told(&command, "MASTER_PORT").expect("set"));
        TcpStream::connect(format!("{host}:{port}")).expect("the supervisor's store listens there");
    }

    #[test]
    fn a_rank_that_closes_its_output_and_lives_has_not_ended() {
        // It lives until its input ends or somebody kills it.
        let mut command = Command::new("sh");
        command.args(["-c", "exec >&-; read line"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let mut output = child.stdout.take().expect("piped");
        output.read_to_end(&mut Vec::new()).expect("it is closed");
        // Waiting for a child closes its input, which would end this one.
        let input = child.stdin.take();
        let mut rank = RankProcess { rank: 0, child, message_path: "/nowhere/termination.json".into() };
        assert_eq!(rank.end().expect("a child"), None);
        rank.kill();
        assert_eq!(rank.end().expect("a child"), Some(End::Signalled(9)));
        drop(input);
    }
}
