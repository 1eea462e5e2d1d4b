//! One child process: its events as messages, its other output in a log, and no descendant left when it is gone.

use crate::local::environment::Environment;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use temper_contract::Event;

/// What to start.
#[derive(Debug)]
pub struct Launch {
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<std::ffi::OsString>,
    /// Its whole environment.
    pub environment: Environment,
    /// Gets standard error, and the lines of standard output that nobody is told.
    pub log: PathBuf,
    /// Which lines of standard output are told.
    pub output: Output,
    /// The child's standard input. A file with a lock keeps it locked as long as the child, or a process that inherited it, lives.
    pub stdin: File,
}

/// Which lines of a child's standard output are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Those that are events; the rest goes to the log.
    Events,
    /// Every line, as it is.
    Lines,
}

/// What a child or the user did.
#[derive(Debug)]
pub enum Message {
    /// A child printed an event.
    Event {
        /// The child's number.
        node: usize,
        /// The event.
        event: Event,
    },
    /// A child printed a line.
    Line {
        /// The child's number.
        node: usize,
        /// The line, without its end.
        line: String,
    },
    /// A child is gone, and its descendants with it.
    Exited {
        /// The child's number.
        node: usize,
        /// How it went.
        status: ExitStatus,
    },
    /// Ctrl-C, SIGTERM or SIGHUP.
    Interrupt,
}

/// A child that was started. Dropping it kills the child's whole process group.
#[derive(Debug)]
pub struct Running {
    pid: Pid,
    /// Whether the child is reaped, from when on its id may belong to somebody else.
    reaped: Arc<Mutex<bool>>,
}

impl Running {
    /// Starts the child in a process group of its own.
    ///
    /// The calling thread must live as long as the child: a trainer asks the kernel to kill it when the thread that started it ends
    /// (`PR_SET_PDEATHSIG`), so that `kill -9` of this process leaves none behind.
    pub fn start(launch: Launch, node: usize, messages: Sender<Message>) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(&launch.log)?;
        let mut child = Command::new(&launch.program)
            .args(&launch.arguments)
            .env_clear()
            .envs(&launch.environment)
            .stdin(launch.stdin)
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .process_group(0)
            .spawn()?;
        let pid = Pid::from_child(&child);
        let reaped = Arc::new(Mutex::new(false));
        let running = Self { pid, reaped: Arc::clone(&reaped) };
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("the child has no standard output"))?;
        let told = messages.clone();
        let output = launch.output;
        let reader = std::thread::Builder::new()
            .name(format!("output of node {node}"))
            .spawn(move || read_output(BufReader::new(stdout), log, node, output, &told))?;
        std::thread::Builder::new().name(format!("wait for node {node}")).spawn(move || {
            let status = reap(&mut child, pid, &reaped);
            let _ = reader.join();
            let status = status.unwrap_or_else(|_| std::os::unix::process::ExitStatusExt::from_raw(1 << 8));
            // Nobody listens any more when the executor has given up; there is nobody to tell then.
            let _ = messages.send(Message::Exited { node, status });
        })?;
        Ok(running)
    }

    /// Sends SIGTERM: save a checkpoint and end.
    pub fn terminate(&self) {
        self.while_alive(|pid| kill_process(pid, Signal::TERM));
    }

    /// Kills the child and all that it started.
    pub fn kill(&self) {
        self.while_alive(|pid| kill_process_group(pid, Signal::KILL));
    }

    fn while_alive(&self, act: impl FnOnce(Pid) -> rustix::io::Result<()>) {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reaped {
            // A child that ended a moment ago needs no signal.
            let _ = act(self.pid);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the child, kills what is left of its group, and only then lets its id go.
fn reap(child: &mut Child, pid: Pid, reaped: &Mutex<bool>) -> io::Result<ExitStatus> {
    while matches!(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT), Err(rustix::io::Errno::INTR)) {}
    let mut reaped = reaped.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = kill_process_group(pid, Signal::KILL);
    *reaped = true;
    child.wait()
}

/// Tells of the lines that are to be told and copies others to the log, until the end of the output or until nobody listens.
fn read_output(mut output: impl BufRead, mut log: impl Write, node: usize, told: Output, messages: &Sender<Message>) {
    let mut line = Vec::new();
    while matches!(output.read_until(b'\n', &mut line), Ok(count) if count > 0) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        let message = match told {
            Output::Events => Event::from_line(text).map(|event| Message::Event { node, event }),
            Output::Lines => Some(Message::Line { node, line: text.to_owned() }),
        };
        match message {
            Some(message) => {
                if messages.send(message).is_err() {
                    return;
                }
            }
            // A full disk must not stop the reading, or the child would block.
            None => drop(log.write_all(&line)),
        }
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Launch, Message, Output, Running};
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;
    use temper_contract::Event;

    fn shell(folder: &Path, script: &str) -> (Running, Receiver<Message>) {
        let (sender, receiver) = channel();
        let launch = Launch {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: [("PATH".to_owned(), "/usr/bin:/bin".into())].into(),
            log: folder.join("log"),
            output: Output::Events,
            stdin: std::fs::File::open("/dev/null").expect("no input"),
        };
        (Running::start(launch, 3, sender).expect("started"), receiver)
    }

    fn next(receiver: &Receiver<Message>) -> Message {
        receiver.recv_timeout(Duration::from_secs(30)).expect("a message")
    }

    #[test]
    fn events_are_told_and_other_lines_are_logged() {
        let folder = tempfile::tempdir().expect("a folder");
        let script = r#"echo plain; echo '{"event":"warning","message":"hot"}'; echo cause >&2; exit 12"#;
        let (_running, receiver) = shell(folder.path(), script);
        let Message::Event { node: 3, event } = next(&receiver) else { panic!("no event") };
        assert_eq!(event, Event::Warning { message: "hot".to_owned() });
        let Message::Exited { node: 3, status } = next(&receiver) else { panic!("no exit") };
        assert_eq!(status.code(), Some(12));
        let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
        assert!(log.contains("plain") && log.contains("cause") && !log.contains("hot"), "{log}");
    }

    #[test]
    fn grandchildren_do_not_outlive_the_child() {
        let folder = tempfile::tempdir().expect("a folder");
        // The grandchild keeps the pipe open; the exit could not be told while it lived.
        let (_running, receiver) = shell(folder.path(), "sleep 1000 & exit 0");
        let Message::Exited { status, .. } = next(&receiver) else { panic!("no exit") };
        assert!(status.success());
    }

    #[test]
    fn dropping_kills() {
        let folder = tempfile::tempdir().expect("a folder");
        let (running, receiver) =
            shell(folder.path(), r#"trap '' TERM; echo '{"event":"warning","message":"deaf"}'; sleep 1000 & sleep 1000"#);
        let Message::Event { .. } = next(&receiver) else { panic!("no event") };
        running.terminate();
        drop(running);
        let Message::Exited { status, .. } = next(&receiver) else { panic!("no exit") };
        assert_eq!(status.signal(), Some(9));
    }
}
