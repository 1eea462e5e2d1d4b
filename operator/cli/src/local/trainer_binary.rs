//! Finding `temper-trainer`.

use crate::exit::Stop;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The binary's name.
pub const NAME: &str = "temper-trainer";

/// The trainer: `--trainer` (or `TEMPER_TRAINER`, which clap reads), else beside this binary, else in `PATH`.
pub fn find(given: Option<&Path>) -> Result<PathBuf, Stop> {
    let own = std::env::current_exe().ok().and_then(|path| path.canonicalize().ok());
    let search = std::env::var_os("PATH");
    find_in(given, own.as_deref().and_then(Path::parent), search.as_deref())
}

fn find_in(given: Option<&Path>, own_folder: Option<&Path>, search: Option<&OsStr>) -> Result<PathBuf, Stop> {
    if let Some(given) = given {
        let path = std::path::absolute(given).unwrap_or_else(|_| given.to_path_buf());
        return if is_executable(&path) {
            Ok(path)
        } else {
            Err(Stop::usage(
                format!("--trainer (or TEMPER_TRAINER): {} is not an executable file", given.display()),
                "give the path of a built temper-trainer",
            ))
        };
    }
    let folders = own_folder.map(Path::to_path_buf).into_iter().chain(search.into_iter().flat_map(std::env::split_paths));
    folders.map(|folder| folder.join(NAME)).find(|path| is_executable(path)).ok_or_else(|| {
        Stop::new(
            crate::exit::Exit::Unexpected,
            format!("{NAME} is neither beside temper nor in PATH"),
            "build it with `make build`, or give its path by --trainer or TEMPER_TRAINER",
        )
    })
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::{NAME, find_in};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_nearest_binary_wins() {
        let root = tempfile::tempdir().expect("a folder");
        let (own, other) = (root.path().join("own"), root.path().join("other"));
        let place = |folder: &std::path::Path, mode| {
            fs::create_dir_all(folder).expect("made");
            let path = folder.join(NAME);
            fs::write(&path, "").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            path
        };
        let in_path = place(&other, 0o755);
        assert_eq!(find_in(None, Some(&own), Some(other.as_os_str())), Ok(in_path.clone()));
        place(&own, 0o644);
        assert_eq!(find_in(None, Some(&own), Some(other.as_os_str())), Ok(in_path.clone()), "one that cannot run is passed over");
        let beside = place(&own, 0o755);
        assert_eq!(find_in(None, Some(&own), Some(other.as_os_str())), Ok(beside));
        assert_eq!(find_in(Some(&in_path), Some(&own), None), Ok(in_path));
        assert!(find_in(Some(&root.path().join("missing")), Some(&own), None).expect_err("missing").message.contains("missing"));
        let stop = find_in(None, None, None).expect_err("nowhere");
        assert!(stop.next_step.contains("--trainer"), "{stop:?}");
    }
}
