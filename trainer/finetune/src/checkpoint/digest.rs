//! SHA-256 of what is written and read.

use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

/// A writer that hashes and counts what passes through it.
pub(super) struct HashingWriter<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), bytes: 0 }
    }

    /// The writer underneath.
    pub(super) fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The writer underneath, the digest and the number of bytes.
    pub(super) fn finish(self) -> (W, String, u64) {
        (self.inner, hexadecimal(&self.hasher.finalize()), self.bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The digest of everything that a reader still has.
pub(super) fn of_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{HashingWriter, of_reader};
    use std::io::Write;

    #[test]
    fn writing_and_reading_agree_with_the_standard() {
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(b"abc").expect("a vector takes everything");
        let (bytes, digest, count) = writer.finish();
        // FIPS 180-4's example.
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((of_reader(&bytes[..]).expect("a slice reads"), count), (digest, 3));
    }
}
