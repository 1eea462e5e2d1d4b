//! Temporary folders that last as long as the test process, however it ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A folder that is removed after this process has ended, even by SIGKILL. A `TempDir` in a static would stay: statics are not dropped.
#[derive(Debug)]
pub(crate) struct LastingFolder {
    path: PathBuf,
    /// Waits for the end of its input, which is the end of this process, and removes the folder.
    _janitor: Child,
}

/// The loop: servers in the folder may still be writing while they die. The trap: Ctrl-C in a terminal reaches the janitor too.
const JANITOR: &str = r#"trap "" INT TERM HUP; read -r _; until rm -rf -- "$1" 2>/dev/null; do :; done"#;

impl LastingFolder {
    /// Makes one.
    ///
    /// # Panics
    /// When the folder for temporary files cannot be written, or there is no shell.
    pub(crate) fn new(prefix: &str) -> Self {
        let path = tempfile::Builder::new().prefix(prefix).tempdir().expect("the folder for temporary files can be written").keep();
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        Self { path, _janitor: janitor }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
