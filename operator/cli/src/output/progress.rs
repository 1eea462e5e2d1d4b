//! What a person sees while a job runs: bars on a terminal, plain lines elsewhere. All of it goes to standard error; results go to
//! standard output.

use crate::output::bars::Bars;
use crate::output::lines::Lines;
use crate::output::terminal::Terminal;
use temper_contract::Event;

/// Shows a running job.
pub trait Progress {
    /// A stage (`prepare`, `train`, `publish`, `register`, ...) begins.
    fn stage(&mut self, name: &str);
    /// A trainer process said something.
    fn event(&mut self, event: &Event);
    /// Something a person should read, above the bars: a sentence or a table.
    fn say(&mut self, text: &str);
    /// The stage is done or has failed: take the bar away.
    fn finish(&mut self);
}

/// The right kind of progress for the terminal.
pub fn for_terminal(terminal: Terminal) -> Box<dyn Progress> {
    if terminal.bars { Box::new(Bars::new()) } else { Box::new(Lines::new(std::io::stderr())) }
}

/// Shows nothing (tests, and commands whose only output is their result).
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&mut self, _name: &str) {}
    fn event(&mut self, _event: &Event) {}
    fn say(&mut self, _line: &str) {}
    fn finish(&mut self) {}
}
