//! A rank as a child process.

use super::cause::End;
use super::node::Node;
use super::rank_output;
use crate::failure::{Failure, Result};
use crate::termination;
use rustix::process::{Pid, Signal, kill_process};
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
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
        let mut command = Command::new(&node.executable);
        command
            .arg("rank")
            .arg("--config")
            .arg(&node.config_path)
            .env(env::MASTER_ADDR, &node.master_address)
            .env(env::MASTER_PORT, node.master_port.to_string())
            .env(env::WORLD_SIZE, node.config.parallelism.world_size().to_string())
            .env(env::RANK, rank.to_string())
            .env(env::LOCAL_RANK, local_rank.to_string())
            .env(env::NODE_RANK, node.node_rank.to_string())
            .env(env::ATTEMPT, node.attempt.to_string())
            .env(env::GENERATION, generation.to_string())
            .env(env::OMP_NUM_THREADS, node.config.parallelism.threads_per_proc.to_string())
            .env(env::PARENT_PID, std::process::id().to_string())
            .env(env::TERMINATION_MESSAGE_PATH, &message_path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if generation > 0 {
            command.env_remove(env::KILL_AT);
        }
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
    use super::{End, RankProcess};
    use std::io::Read;
    use std::process::{Command, Stdio};

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
