//! SHA-256 digests of files and folders, as `sha256:` and 64 hexadecimal digits.

use crate::Error;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const PREFIX: &str = "sha256:";

/// The digest of some bytes.
pub fn bytes(bytes: &[u8]) -> String {
    format(Sha256::digest(bytes).as_slice())
}

/// The digest of a file's content, read in pieces.
pub fn file(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(format(hasher.finalize().as_slice())),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path)(error)),
        }
    }
}

/// Each file's digest by its path relative to the folder (`/` between parts), subfolders included.
pub fn files(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut entries = BTreeMap::new();
    collect(folder, "", &mut entries)?;
    Ok(entries)
}

/// The digest of a folder: of names and contents of all its files. See [`of_entries`].
pub fn folder(folder: &Path) -> Result<String, Error> {
    Ok(of_entries(&files(folder)?))
}

/// The digest of a set of files given by name and digest: that of the lines `HEX  NAME`, sorted by name, which are `sha256sum`'s output
/// for the same files.
pub fn of_entries(entries: &BTreeMap<String, String>) -> String {
    let lines: String =
        entries.iter().map(|(name, digest)| format!("{}  {name}\n", digest.strip_prefix(PREFIX).unwrap_or(digest))).collect();
    bytes(lines.as_bytes())
}

fn collect(folder: &Path, prefix: &str, entries: &mut BTreeMap<String, String>) -> Result<(), Error> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        let path = entry.path();
        let name =
            entry.file_name().into_string().map_err(|name| Error::damaged(folder, format!("the file name {name:?} is not UTF-8")))?;
        let name = format!("{prefix}{name}");
        let kind = path.metadata().map_err(Error::io("read", &path))?;
        if kind.is_dir() {
            // A link to a folder could lead around in a circle.
            let link = entry.file_type().map_err(Error::io("read", &path))?.is_symlink();
            if link {
                return Err(Error::damaged(&path, "it is a link to a folder; a published folder has none"));
            }
            collect(&path, &format!("{name}/"), entries)?;
        } else {
            entries.insert(name, file(&path)?);
        }
    }
    Ok(())
}

fn format(digest: &[u8]) -> String {
    digest.iter().fold(PREFIX.to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folders_digest_is_that_of_sha256sums_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("b", "abc");
        std::fs::create_dir(folder.path().join("a")).expect("made");
        write("a/c", "");
        // From `printf abc | sha256sum` and `sha256sum < /dev/null`.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(file(&folder.path().join("b")).expect("read"), format!("sha256:{abc}"));
        let before = super::folder(folder.path()).expect("read");
        assert_eq!(before, bytes(format!("{empty}  a/c\n{abc}  b\n").as_bytes()));
        std::fs::rename(folder.path().join("b"), folder.path().join("d")).expect("renamed");
        assert_ne!(super::folder(folder.path()).expect("read"), before);
    }
}
