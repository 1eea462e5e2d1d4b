//! Bounds-checked reading of little-endian values.

/// A position in a file's bytes. Every read checks what is left; errors say where.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, length: u64, what: &str) -> Result<&'a [u8], String> {
        let taken =
            usize::try_from(length).ok().and_then(|length| self.at.checked_add(length)).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| {
            format!(
                "it ends inside {what} at byte {}: {length} bytes are claimed, {} are left; it may be cut short",
                self.at,
                self.remaining()
            )
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64, what)?);
        Ok(out)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &str) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A string: length, then bytes.
    pub(crate) fn string(&mut self, what: &str) -> Result<&'a [u8], String> {
        let length = self.u64(what)?;
        self.take(length, what)
    }

    /// A name: a string that must be short and UTF-8.
    pub(crate) fn name(&mut self, what: &str, limit: usize) -> Result<&'a str, String> {
        let at = self.at;
        let bytes = self.string(what)?;
        if bytes.len() > limit {
            return Err(format!("{what} at byte {at} is {} bytes long; at most {limit} are allowed", bytes.len()));
        }
        std::str::from_utf8(bytes).map_err(|_| format!("{what} at byte {at} is not UTF-8"))
    }
}
