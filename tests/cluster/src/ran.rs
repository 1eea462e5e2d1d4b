//! Programs that are run to their end, as a user runs them.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed, warnings and errors last.
    pub text: String,
}

impl Ran {
    /// What it printed, given that it succeeded.
    ///
    /// # Panics
    /// When it did not; the message holds what it printed.
    pub fn succeeded(self, what: &str) -> String {
        assert!(self.status.success(), "{what}: {}\n{}", self.status, self.text);
        self.text
    }
}

/// Runs a command to its end and gives it `input` to read.
///
/// # Panics
/// When it cannot be started.
pub fn run(mut command: Command, input: &str) -> Ran {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that reads nothing may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("{name} cannot be waited for: {error}"));
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ran { status: output.status, text }
}
