//! The reference libraries: transformers and PEFT, in the Python that `make setup-reference` installs.

use crate::binaries::succeed;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Runs `tests/reference/SCRIPT` and returns what it printed.
///
/// # Panics
/// When the reference libraries are not installed, or the script fails.
pub fn run<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> String {
    let python = std::env::var_os("TEMPER_REFERENCE_PYTHON").map(PathBuf::from);
    let python = python.filter(|python| python.is_file()).expect("the reference libraries are missing; run the tests by `make test`");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference").join(script);
    succeed(Command::new(python).arg(script).args(arguments).env("OMP_NUM_THREADS", "1"))
}

/// The folder of small random models, one for each family, made once for each test binary.
pub fn models() -> &'static Path {
    static MODELS: OnceLock<tempfile::TempDir> = OnceLock::new();
    MODELS
        .get_or_init(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            run("make_models.py", [folder.path()]);
            folder
        })
        .path()
}

/// Names of the models in [`models`].
pub const MODELS: [&str; 9] =
    ["llama", "llama-rope3", "llama-linear", "mistral", "mistral-full", "qwen2", "qwen2-window", "qwen3", "qwen3-untied"];

/// The SmolLM2 GGUF file.
///
/// # Panics
/// When it is not there.
pub fn smollm2() -> PathBuf {
    let path = std::env::var_os("TEMPER_SMOLLM2").map(PathBuf::from).filter(|path| path.is_file());
    path.expect("SmolLM2 is missing; run the tests by `make test`")
}
