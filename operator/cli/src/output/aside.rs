//! What is said beside the result, on standard error.

use std::fmt::Display;
use std::io::Write;

/// Says a line. Whoever has closed standard error wants to hear nothing: that ends nobody's work, and changes no exit code.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
