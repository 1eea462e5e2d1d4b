//! Child processes that die with the test process and keep a log.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A running program. Dropping it kills it; if its test is failing, the end of its log is shown.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// How much of a log a failing test shows.
const SHOWN_LINES: usize = 60;

impl Process {
    /// Starts a program with its output appended to a log.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<A: AsRef<OsStr>>(name: &str, program: &Path, arguments: impl IntoIterator<Item = A>, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let errors = output.try_clone().expect("an open file has another handle");
        // setpriv asks the kernel to kill the program when the thread that started it ends, and becomes the program.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = spawn(command).unwrap_or_else(|error| panic!("cannot start {name} by setpriv, which Debian's util-linux has: {error}"));
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Kills it at once and waits until it is gone.
    pub fn kill(&mut self) {
        if self.ended().is_none() {
            self.child.kill().expect("a running child can be killed");
            self.child.wait().expect("a killed child can be waited for");
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal) {
        assert!(self.ended().is_none(), "{} has ended and cannot be sent {signal:?}:\n{}", self.name, self.last_lines());
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot send {signal:?} to {}: {error}", self.name));
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it still runs after `patience`.
    pub async fn wait(&mut self, patience: Duration) -> ExitStatus {
        let name = self.name.clone();
        crate::wait::eventually(patience, &format!("{name} ends"), async || self.ended().ok_or_else(|| "it runs".to_owned())).await
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of its log, for messages.
    pub fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        format!(
            "--- {}, {} lines, the last of them:\n{}",
            self.name,
            lines.len(),
            lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.last_lines());
        }
    }
}

type Order = (Command, Sender<io::Result<Child>>);

/// Starts all children from one thread that lives as long as the process. The kernel sends the parent-death signal at the death of the
/// thread that started the child, and a test's thread ends before the servers that other tests share.
fn spawn(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver) = channel::<Order>();
        std::thread::Builder::new()
            .name("parent".to_owned())
            .spawn(move || {
                for (mut command, answer) in receiver {
                    // Whoever gave the order waits for the answer.
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread can be started");
        sender
    });
    let (sender, receiver) = channel();
    orders.send((command, sender)).expect("the parent thread lives");
    receiver.recv().expect("the parent thread answers")
}

#[cfg(test)]
mod tests {
    use super::Process;
    use std::path::Path;

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it_and_dies_when_dropped() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log");
        let mut process =
            std::thread::spawn(move || Process::start("cat", Path::new("tail"), ["-f", "/dev/null"], &log)).join().expect("it starts");
        assert_eq!(process.ended(), None);
        let status = Path::new("/proc").join(process.id().to_string());
        assert!(status.exists());
        drop(process);
        assert!(!status.exists());
    }
}
