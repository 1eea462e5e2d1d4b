//! Credentials from a Secret that is mounted as files. Their values have no way out: no Debug, no Display, no serialisation.

use crate::error::{Error, Kind, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read};
use temper_contract::config::Credentials;

/// Larger than any key file; a mistaken mount of something big must not be read into memory.
const LARGEST_VALUE: u64 = 1 << 20;
/// Shorter values are ordinary words (a region's name), which must stay legible in messages.
const SHORTEST_STRUCK_OUT: usize = 6;

/// A Secret's keys and values.
pub(crate) struct Secret {
    name: String,
    values: BTreeMap<String, String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secret").field("name", &self.name).field("keys", &self.values.keys()).finish_non_exhaustive()
    }
}

impl Secret {
    /// Reads the mounted folder. `uri` is what the credentials are for.
    pub(crate) fn read(credentials: &Credentials, uri: &str) -> Result<Self> {
        let mut values = BTreeMap::new();
        let entries = match fs::read_dir(&credentials.folder) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Self::unreadable(credentials, uri, &error)),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(|error| Self::unreadable(credentials, uri, &error))?;
            // Kubernetes keeps the versions of a mounted Secret in hidden folders, and a link to the current value beside them.
            let key = entry.file_name().to_string_lossy().into_owned();
            if key.starts_with('.') || !entry.path().is_file() {
                continue;
            }
            let mut value = String::new();
            let read = fs::File::open(entry.path()).and_then(|file| file.take(LARGEST_VALUE).read_to_string(&mut value));
            match read {
                Ok(_) => values.insert(key, value.trim().to_owned()),
                // A binary value is none that is asked for here.
                Err(error) if error.kind() == ErrorKind::InvalidData => continue,
                Err(error) => return Err(Self::unreadable(credentials, uri, &error)),
            };
        }
        if values.is_empty() {
            return Err(Error::new(
                Kind::Credentials,
                uri,
                format!("the Secret {} is not there, or has no keys", credentials.secret),
                format!("create it: kubectl create secret generic {} {}", credentials.secret, from_literals(uri)),
            ));
        }
        Ok(Self { name: credentials.secret.clone(), values })
    }

    /// The value of the first of these keys that is there.
    pub(crate) fn get(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.values.get(*key)).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same, or the error that names the key.
    pub(crate) fn require(&self, keys: &[&str], uri: &str) -> Result<&str> {
        self.get(keys).ok_or_else(|| self.lacks(keys.first().copied().unwrap_or_default(), uri))
    }

    /// The error of a Secret without a key that is needed.
    pub(crate) fn lacks(&self, key: &str, uri: &str) -> Error {
        let present = self.values.keys().cloned().collect::<Vec<_>>().join(", ");
        Error::new(
            Kind::Credentials,
            uri,
            format!("the Secret {} has no key {key}; it has {present}", self.name),
            format!("add the key: kubectl create secret generic {} {}", self.name, from_literals(uri)),
        )
    }

    /// The Secret's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text without any of the values, whoever put them there.
    pub(crate) fn strike_out(&self, text: &str) -> String {
        let mut struck = text.to_owned();
        for value in self.values.values().filter(|value| value.len() >= SHORTEST_STRUCK_OUT) {
            struck = struck.replace(value.as_str(), "***");
        }
        struck
    }

    fn unreadable(credentials: &Credentials, uri: &str, error: &std::io::Error) -> Error {
        Error::new(
            Kind::Credentials,
            uri,
            format!("the Secret {} cannot be read at {}: {error}", credentials.secret, credentials.folder.display()),
            "check how it is mounted",
        )
    }
}

/// How to create a Secret for what the URI names.
fn from_literals(uri: &str) -> &'static str {
    match uri.split("://").next() {
        Some("s3") => {
            "--from-literal=accessKeyId=... --from-literal=secretAccessKey=... [--from-literal=region=... --from-literal=endpoint=...]"
        }
        Some("gs") => "--from-file=serviceAccount=KEY.json",
        Some("az") => "--from-literal=accountName=... --from-literal=accountKey=...  (or sasToken=...)",
        _ => "--from-literal=token=hf_...",
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;
    use crate::error::Kind;
    use std::fs;
    use temper_contract::config::Credentials;

    #[test]
    fn a_mounted_secret_is_read_and_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        // As the kubelet lays it out.
        fs::create_dir(folder.path().join("..2026_01_01")).expect("made");
        fs::write(folder.path().join("..2026_01_01/token"), "hf_canary\n").expect("written");
        std::os::unix::fs::symlink("..2026_01_01", folder.path().join("..data")).expect("linked");
        std::os::unix::fs::symlink("..data/token", folder.path().join("token")).expect("linked");
        let credentials = Credentials { secret: "hf".to_owned(), folder: folder.path().to_owned() };
        let secret = Secret::read(&credentials, "hf://o/n").expect("read");
        assert_eq!(secret.require(&["token"], "hf://o/n"), Ok("hf_canary"));
        assert!(!format!("{secret:?}").contains("canary"), "{secret:?}");
        assert_eq!(secret.strike_out("Bearer hf_canary refused"), "Bearer *** refused");
        let error = secret.require(&["accessKeyId"], "s3://b").expect_err("it has none");
        assert_eq!(error.kind, Kind::Credentials);
        assert!(error.reason.contains("hf has no key accessKeyId; it has token"), "{error}");
    }

    #[test]
    fn a_missing_secret_is_named_with_the_command_that_creates_it() {
        let folder = tempfile::tempdir().expect("a folder");
        for folder in [folder.path().to_owned(), folder.path().join("absent")] {
            let error = Secret::read(&Credentials { secret: "s3-keys".to_owned(), folder }, "s3://b/a").expect_err("there is none");
            assert_eq!(error.kind, Kind::Credentials);
            assert!(error.reason.contains("Secret s3-keys"), "{error}");
            assert!(error.next_step.contains("generic s3-keys --from-literal=accessKeyId"), "{}", error.next_step);
        }
    }
}
