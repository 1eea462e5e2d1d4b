//! A command under way.

use super::Ran;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{PipeReader, Read, Write};
use std::process::{Child, Command, Stdio};

/// A command under way, and what it has printed so far on both of its outputs.
pub(crate) struct Started {
    child: Child,
    output: PipeReader,
    printed: Vec<u8>,
}

impl Started {
    /// Starts the command. Its input stays open until it has ended.
    pub(crate) fn new(mut command: Command) -> Self {
        let (output, writer) = std::io::pipe().expect("a pipe");
        command.stdin(Stdio::piped()).stdout(writer.try_clone().expect("a second handle")).stderr(writer);
        // The command is dropped here, and with it this process's ends of the pipe: reading ends when the command does.
        Self { child: command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")), output, printed: Vec::new() }
    }

    /// Waits until it has printed a text.
    pub(crate) fn wait_for(&mut self, part: &str) {
        let mut more = [0; 4096];
        while !self.text().contains(part) {
            let count = self.output.read(&mut more).expect("its output");
            assert!(count > 0, "it ended without {part:?}:\n{}", self.text());
            self.printed.extend(&more[..count]);
        }
    }

    /// Sends SIGINT to the command alone.
    pub(crate) fn interrupt(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
    }

    /// Types Ctrl-C: of a command on a terminal, the terminal interrupts all that stands in its foreground.
    pub(crate) fn type_ctrl_c(&mut self) {
        self.child.stdin.as_mut().expect("an input").write_all(b"\x03").expect("typed");
    }

    /// Waits for the end. Both outputs come as one.
    pub(crate) fn finish(mut self) -> Ran {
        self.output.read_to_end(&mut self.printed).expect("its output");
        let status = self.child.wait().expect("it ends");
        Ran { code: status.code(), stdout: self.text(), stderr: String::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.printed).into_owned()
    }
}
