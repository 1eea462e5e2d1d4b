//! Standard output: one event a line, whole even when threads write at the same time.

use std::io::Write;
use temper_contract::Event;

/// Prints an event. A reader that has gone away is no reason to stop training.
pub(crate) fn emit(event: &Event) {
    let mut line = event.to_line();
    line.push('\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// Logs a warning and tells the parent.
pub(crate) fn warn(message: String) {
    tracing::warn!("{message}");
    emit(&Event::Warning { message });
}
