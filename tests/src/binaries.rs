//! Our own programs, as `make build` leaves them.

use std::path::PathBuf;
use std::process::Command;

/// The path of one of our binaries: beside the test's own folder.
///
/// # Panics
/// When it is not built.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let path = test.ancestors().nth(2).expect("a test lies in target/PROFILE/deps").join(name);
    assert!(path.is_file(), "{} is not built; run `make build`", path.display());
    path
}

/// Runs a command that must succeed and returns what it printed.
///
/// # Panics
/// When the command cannot be started or fails; the message holds what it printed.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?} ended with {}:\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    text
}
