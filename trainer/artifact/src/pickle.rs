//! Refuses pickles by what is in them, whatever they are called.

use crate::{Error, gguf};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A tar archive has its mark here; everything else is told by the first bytes.
const TAR_MARK: usize = 257;
const LOOKED_AT: usize = TAR_MARK + 5;

/// Fails if the file is a pickle, or an archive of the kinds that PyTorch keeps pickles in. Reads only the first bytes.
pub fn refuse(path: &Path) -> Result<(), Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("read the size of", path))?.len();
    let mut first = Vec::with_capacity(LOOKED_AT);
    file.take(LOOKED_AT as u64).read_to_end(&mut first).map_err(Error::io("read", path))?;
    match found(&first, length) {
        Some(found) => Err(Error::Pickle { path: path.to_owned(), found }),
        None => Ok(()),
    }
}

/// What kind of pickle a file of `length` bytes that begins with `first` is.
fn found(first: &[u8], length: u64) -> Option<&'static str> {
    if first.starts_with(gguf::MAGIC) || looks_like_safetensors(first, length) {
        return None;
    }
    if first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") {
        return Some("a zip archive, as PyTorch keeps pickles in");
    }
    if first.get(TAR_MARK..).is_some_and(|mark| mark.starts_with(b"ustar")) {
        return Some("a tar archive, as PyTorch kept pickles in");
    }
    // Opcode PROTO and the protocol's number.
    if matches!(first, [0x80, 2..=5, ..]) {
        return Some("a pickle");
    }
    // Protocols 0 and 1 have no header: a global `c module \n name \n`, or a mark followed by a dictionary, list, tuple or object.
    let line = first.split(|&byte| byte == b'\n').next().unwrap_or(first);
    let global = line.len() < first.len()
        && matches!(line, [b'c', rest @ ..] if !rest.is_empty() && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte)));
    let marked = matches!(first, [b'(', b'd' | b'l' | b't' | b'i' | b'c' | b'o', ..] | [b'}' | b']', b'q' | b'(', ..]);
    (global || marked).then_some("a pickle of an old protocol")
}

/// A safetensors header of 640 bytes also begins with 0x80 0x02: what follows tells them apart.
fn looks_like_safetensors(first: &[u8], length: u64) -> bool {
    let header = first.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    first.get(8) == Some(&b'{') && header.is_some_and(|header| header <= length.saturating_sub(8))
}

#[cfg(test)]
mod tests {
    use super::found;

    #[test]
    fn a_pickle_is_told_by_its_content() {
        let mut tar = vec![0u8; 300];
        tar[257..262].copy_from_slice(b"ustar");
        let pickles: [&[u8]; 7] = [b"PK\x03\x04rest", b"\x80\x02}q", b"\x80\x05\x95", b"cposix\nsystem\n(", b"(dp0\n", b"}q\x00", &tar];
        for pickle in pickles {
            assert!(found(pickle, 1000).is_some(), "{pickle:?}");
        }
        let mut safetensors = 640u64.to_le_bytes().to_vec();
        safetensors.extend(b"{\"a\":");
        let others: [&[u8]; 5] = [b"{\"model\": 1}", b"GGUF\x03\0\0\0", &safetensors, b"", b"\x80"];
        for other in others {
            assert!(found(other, 1000).is_none(), "{other:?}");
        }
        // Too short for the header it claims: not a safetensors file.
        assert!(found(&safetensors, 100).is_some());
    }
}
