//! Digests of what streams by, and what a server says they should be.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fmt;

/// A digest that a server gave for a file, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// SHA-256: of the hub's large files, of what this crate uploaded, of objects stored with that checksum.
    Sha256(String),
    /// MD5: of objects that were uploaded in one part.
    Md5(String),
    /// SHA-1 of `blob LENGTH\0` and the content: git's own name for a file.
    GitBlob(String),
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(formatter, "sha256 {digest}"),
            Self::Md5(digest) => write!(formatter, "md5 {digest}"),
            Self::GitBlob(digest) => write!(formatter, "git blob {digest}"),
        }
    }
}

/// Computes SHA-256, and the digest of the check where it is another one.
pub(crate) struct Hasher {
    sha256: Sha256,
    other: Other,
}

enum Other {
    None,
    Md5(Md5, String),
    GitBlob(Sha1, String),
}

impl Hasher {
    /// For a file of `size` bytes.
    pub(crate) fn new(check: Option<&Check>, size: u64) -> Self {
        let other = match check {
            None | Some(Check::Sha256(_)) => Other::None,
            Some(Check::Md5(expected)) => Other::Md5(Md5::new(), expected.clone()),
            Some(Check::GitBlob(expected)) => {
                Other::GitBlob(Sha1::new().chain_update(format!("blob {size}\0").as_bytes()), expected.clone())
            }
        };
        Self { sha256: Sha256::new(), other }
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.other {
            Other::None => {}
            Other::Md5(hasher, _) => hasher.update(bytes),
            Other::GitBlob(hasher, _) => hasher.update(bytes),
        }
    }

    /// The SHA-256, or what the digest is instead of what it should be.
    pub(crate) fn finish(self, check: Option<&Check>) -> Result<String, String> {
        let sha256 = hexadecimal(&self.sha256.finalize());
        let (found, expected) = match (self.other, check) {
            (Other::None, Some(Check::Sha256(expected))) => (Check::Sha256(sha256.clone()), Check::Sha256(expected.to_lowercase())),
            (Other::None, _) => return Ok(sha256),
            (Other::Md5(hasher, expected), _) => (Check::Md5(hexadecimal(&hasher.finalize())), Check::Md5(expected.to_lowercase())),
            (Other::GitBlob(hasher, expected), _) => {
                (Check::GitBlob(hexadecimal(&hasher.finalize())), Check::GitBlob(expected.to_lowercase()))
            }
        };
        if found == expected { Ok(sha256) } else { Err(format!("its digest is {found} instead of {expected}")) }
    }
}

/// The SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        use std::fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Check, Hasher};

    #[test]
    fn each_digest_is_that_of_its_standard_tool() {
        // From `printf abc | md5sum`, `sha256sum`, and `git hash-object`.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let checks = [
            None,
            Some(Check::Sha256(sha256.to_uppercase())),
            Some(Check::Md5("900150983cd24fb0d6963f7d28e17f72".to_owned())),
            Some(Check::GitBlob("f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f".to_owned())),
        ];
        for check in &checks {
            let mut hasher = Hasher::new(check.as_ref(), 3);
            hasher.update(b"a");
            hasher.update(b"bc");
            assert_eq!(hasher.finish(check.as_ref()).as_deref(), Ok(sha256), "{check:?}");
        }
        for check in &checks[1..] {
            let mut hasher = Hasher::new(check.as_ref(), 3);
            hasher.update(b"abd");
            assert!(hasher.finish(check.as_ref()).is_err(), "{check:?}");
        }
    }
}
