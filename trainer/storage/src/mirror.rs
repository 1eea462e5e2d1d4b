//! Folders at a remote place whose last file, the manifest, makes each of them exist: checkpoints.

use crate::error::{Error, Result};
use crate::object::{Bucket, Condition, LocalFile};
use crate::settings::Settings;
use crate::upload::hash;
use std::path::{Path, PathBuf};
use temper_contract::config::Remote;

/// A place with folders in it.
pub struct Mirror {
    bucket: Bucket,
    settings: Settings,
    remote: Remote,
    manifest: &'static str,
}

impl Mirror {
    /// Connects to nothing yet. `manifest` is the name of each folder's last file.
    pub fn open(remote: &Remote, manifest: &'static str, settings: &Settings) -> Result<Self> {
        let bucket = crate::open::bucket(remote, settings)?;
        Ok(Self { bucket, settings: settings.clone(), remote: remote.clone(), manifest })
    }

    /// The paths of all folders that have their manifest.
    pub async fn list(&self) -> Result<Vec<String>> {
        let files = self.bucket.below().await.map_err(|error| self.bucket.strike_out(error))?;
        let suffix = format!("/{}", self.manifest);
        let mut folders: Vec<String> = files.iter().filter_map(|file| Some(file.path.strip_suffix(&suffix)?.to_owned())).collect();
        folders.sort();
        Ok(folders)
    }

    /// Copies the plain files of a folder to below `name`, the manifest last. Files that are there already are left as they are.
    pub async fn put(&self, folder: &Path, name: &str) -> Result<()> {
        self.put_files(folder, name).await.map_err(|error| self.bucket.strike_out(error))
    }

    async fn put_files(&self, folder: &Path, name: &str) -> Result<()> {
        let manifest_path = folder.join(self.manifest);
        let manifest = std::fs::read(&manifest_path).map_err(Error::at("read", &manifest_path))?;
        let manifest_key = self.bucket.child(&format!("{name}/{}", self.manifest))?;
        match self.bucket.read(&manifest_key).await? {
            Some(there) if there.bytes == manifest => return Ok(()),
            // The same attempt has made this step again, after it went back: what is there goes first.
            Some(_) => self.bucket.remove(&manifest_key).await?,
            None => {}
        }
        for path in plain_files(folder)? {
            let Some(file_name) = path.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
            if file_name == self.manifest || file_name.starts_with('.') {
                continue;
            }
            let hashed = tokio::task::spawn_blocking(move || hash(path)).await;
            let file: LocalFile = hashed.unwrap_or_else(|error| Err(Error::storage("hash", folder, &std::io::Error::other(error))))?;
            let key = self.bucket.child(&format!("{name}/{file_name}"))?;
            if !self.bucket.has(&key, &file).await? {
                self.bucket.put_file(&key, &file, &|_| ()).await?;
            }
        }
        if self.bucket.put_if(&manifest_key, manifest, Condition::Absent).await? {
            return Ok(());
        }
        Err(Error::new(
            crate::Kind::Superseded,
            format!("{}/{name}", self.bucket.uri()),
            "another process has written it at the same time",
            "nothing: each attempt writes below its own path, so that one stands",
        ))
    }

    /// Brings one folder to `target`, which must not be there. The files are verified against what the store says; whoever reads the
    /// folder verifies them against its manifest.
    pub async fn get(&self, name: &str, target: &Path) -> Result<()> {
        let remote = Remote { uri: format!("{}/{name}/", self.remote.uri.trim_end_matches('/')), ..self.remote.clone() };
        crate::fetch(&remote, crate::Purpose::Everything, target, &self.settings, &|_, _| ()).await?;
        let home = target.join(crate::fetch::HOME);
        std::fs::remove_dir_all(&home).map_err(Error::at("remove", &home))
    }

    /// Removes one folder, its manifest first, so that no half of it is ever taken for a whole.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let removed = async {
            self.bucket.remove(&self.bucket.child(&format!("{name}/{}", self.manifest))?).await?;
            let prefix = format!("{name}/");
            for file in self.bucket.below().await?.iter().filter(|file| file.path.starts_with(&prefix)) {
                self.bucket.remove(&self.bucket.child(&file.path)?).await?;
            }
            Ok(())
        };
        removed.await.map_err(|error| self.bucket.strike_out(error))
    }

    /// The place, for messages.
    pub fn uri(&self) -> &str {
        self.bucket.uri()
    }
}

fn plain_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::at("list", folder))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::at("list", folder))?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
