//! Where the programs are: ours beside the test, Kubernetes' in the folder that `make setup-kubernetes` fills.

use std::path::PathBuf;

/// The folder of Kubernetes' binaries.
pub const KUBERNETES_BIN: &str = "TEMPER_KUBERNETES_BIN";

/// The path of one of our own binaries: beside the test's folder, and beside a bench.
///
/// # Panics
/// When it is not built.
pub fn ours(name: &str) -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it is");
    // A test lies in target/PROFILE/deps, a bench in target/PROFILE.
    let folder = program.parent().map(|folder| if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder });
    let path = folder.expect("a program lies in a folder").join(name);
    assert!(path.is_file(), "{} is not built; run: make build", path.display());
    path
}

/// The path of one of Kubernetes' binaries.
///
/// # Panics
/// When it is not built.
pub fn kubernetes(name: &str) -> PathBuf {
    let folder = std::env::var_os(KUBERNETES_BIN).unwrap_or_else(|| {
        panic!("{KUBERNETES_BIN} is not set, so there is no {name}; run: make setup-kubernetes && eval \"$(make -s env)\"")
    });
    let path = PathBuf::from(folder).join(name);
    assert!(path.is_file(), "{} is not built; run: make setup-kubernetes", path.display());
    path
}
