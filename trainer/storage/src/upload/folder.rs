//! The files of a local folder, hashed.

use crate::digest::hexadecimal;
use crate::error::{Error, Kind, Result};
use crate::object::LocalFile;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Every file by its path below the folder, with `/` between parts. Hidden ones (what an interrupted write leaves) are left out.
pub(super) async fn files(folder: &Path) -> Result<BTreeMap<String, LocalFile>> {
    let folder = folder.to_owned();
    let hashed = tokio::task::spawn_blocking(move || {
        let mut found = BTreeMap::new();
        collect(&folder, "", &mut found)?;
        found.into_iter().map(|(name, path)| Ok((name, hash(path)?))).collect()
    });
    hashed.await.unwrap_or_else(|error| Err(Error::new(Kind::Storage, "hashing", error.to_string(), "run again")))
}

fn collect(folder: &Path, prefix: &str, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::at("list", folder))? {
        let entry = entry.map_err(Error::at("list", folder))?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Error::invalid(path.display().to_string(), "its name is not UTF-8", "rename it"));
        };
        if name.starts_with('.') {
            continue;
        }
        let name = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(Error::at("read", &path))?;
        if kind.is_dir() {
            collect(&path, &format!("{name}/"), found)?;
        } else if kind.is_file() {
            found.insert(name, path);
        } else {
            return Err(Error::invalid(path.display().to_string(), "it is no plain file", "replace the link by what it points to"));
        }
    }
    Ok(())
}

/// A file with its length and digest.
pub(crate) fn hash(path: PathBuf) -> Result<LocalFile> {
    let read = || -> io::Result<(u64, String)> {
        let mut file = File::open(&path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut bytes = 0;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok((bytes, hexadecimal(&hasher.finalize()))),
                Ok(length) => {
                    hasher.update(&buffer[..length]);
                    bytes += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    let (bytes, sha256) = read().map_err(Error::at("read", &path))?;
    Ok(LocalFile { path, bytes, sha256 })
}
