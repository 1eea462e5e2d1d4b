//! The reference libraries, in the Python that `make setup-reference` installs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file that a variable of the environment names.
pub(crate) fn variable(name: &str) -> PathBuf {
    let path = std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_file());
    path.unwrap_or_else(|| panic!("{name} names no file; run the tests by `make test`"))
}

/// Runs `tests/reference/SCRIPT` and returns what it printed.
pub(crate) fn run<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(script);
    let output = Command::new(variable("TEMPER_REFERENCE_PYTHON")).arg(script).args(arguments).output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
