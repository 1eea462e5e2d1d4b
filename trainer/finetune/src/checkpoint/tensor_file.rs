//! Named fp32 tensors in a safetensors file, one tensor in memory at a time.

use super::digest::HashingWriter;
use serde_json::{Map, json};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use tch::{Kind, Tensor};

/// A range of a flat fp32 tensor, with the name and shape it has in the file.
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) shape: &'a [usize],
    /// `[n]`, on any device.
    pub(super) flat: Tensor,
}

/// Bytes that are made durable at once: seconds of the slowest volumes, and no sync that takes minutes at the end.
const PIECE: usize = 64 << 20;

/// Writes the parts in their order and makes the file durable, piece by piece; returns its SHA-256 and size. `got_on` is called after each
/// piece.
pub(super) fn write(path: &Path, parts: &[Part<'_>], got_on: &mut dyn FnMut()) -> io::Result<(String, u64)> {
    let mut header = Map::new();
    let mut offset = 0;
    for part in parts {
        let end = offset + 4 * part.shape.iter().product::<usize>();
        header.insert(part.name.clone(), json!({"dtype": "F32", "shape": part.shape, "data_offsets": [offset, end]}));
        offset = end;
    }
    let mut header = serde_json::to_vec(&header)?;
    // The format wants the data aligned to 8 bytes; spaces end the header.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut writer = HashingWriter::new(File::create(path)?);
    writer.write_all(&(header.len() as u64).to_le_bytes())?;
    writer.write_all(&header)?;
    let mut buffer = Vec::new();
    let mut unsynced = 0;
    for part in parts {
        let elements = part.shape.iter().product::<usize>();
        buffer.resize(4 * elements, 0);
        let flat = part.flat.to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous();
        flat.f_copy_data_u8(&mut buffer, elements).map_err(io::Error::other)?;
        for piece in buffer.chunks(PIECE) {
            writer.write_all(piece)?;
            unsynced += piece.len();
            if unsynced >= PIECE {
                writer.get_ref().sync_data()?;
                unsynced = 0;
                got_on();
            }
        }
    }
    let (file, sha256, bytes) = writer.finish();
    file.sync_all()?;
    Ok((sha256, bytes))
}

/// Opens a file to read the parts from. Its names, shapes, types and order must be exactly those of the parts: what differs is
/// [`io::ErrorKind::InvalidData`].
pub(super) fn open(path: &Path, parts: &[Part<'_>]) -> io::Result<BufReader<File>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let header = read_header(&mut reader, size)?;
    let mut offset = 0;
    for part in parts {
        let Some(Entry { dtype, shape, data_offsets }) = header.get(&part.name) else {
            return Err(other(format!("tensor {} is missing", part.name)));
        };
        if shape != part.shape || dtype != "F32" {
            return Err(other(format!("tensor {} is {dtype} {shape:?} instead of F32 {:?}", part.name, part.shape)));
        }
        let end = offset + 4 * part.shape.iter().product::<usize>();
        if *data_offsets != [offset, end] {
            return Err(other(format!("tensor {} is at {data_offsets:?} instead of {:?}", part.name, [offset, end])));
        }
        offset = end;
    }
    if header.len() != parts.len() {
        return Err(other(format!("{} tensors instead of {}", header.len(), parts.len())));
    }
    Ok(reader)
}

/// Copies the values of an opened file into the parts' ranges.
pub(super) fn read(mut reader: BufReader<File>, parts: &[Part<'_>]) -> io::Result<()> {
    let mut buffer = Vec::new();
    for part in parts {
        let of_part = |error: io::Error| io::Error::new(error.kind(), format!("tensor {}: {error}", part.name));
        let elements = part.shape.iter().product::<usize>();
        buffer.resize(4 * elements, 0);
        reader.read_exact(&mut buffer).map_err(of_part)?;
        let values = Tensor::f_from_data_size(&buffer, &[elements as i64], Kind::Float).map_err(io::Error::other);
        let mut range = part.flat.shallow_clone();
        values.and_then(|values| range.f_copy_(&values).map_err(io::Error::other)).map_err(of_part)?;
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

fn read_header(reader: &mut impl Read, size: u64) -> io::Result<std::collections::HashMap<String, Entry>> {
    let mut length = [0; 8];
    reader.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > size.saturating_sub(8) {
        return Err(other(format!("a header of {length} bytes does not fit in a file of {size}")));
    }
    // Bounded by the file's own size just above.
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header)?;
    serde_json::from_slice(&header).map_err(|error| other(format!("header: {error}")))
}

/// The file is not what it should be.
fn other(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::{PIECE, Part, write};
    use tch::{Device, Kind, Tensor};

    #[test]
    fn a_large_tensor_gets_on_piece_by_piece() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shape = [2 * PIECE / 4 + 1];
        let flat = Tensor::zeros([shape[0] as i64], (Kind::Float, Device::Cpu));
        let mut pieces = 0;
        let parts = [Part { name: "w".to_owned(), shape: &shape, flat }];
        let (_, bytes) = write(&folder.path().join("large"), &parts, &mut || pieces += 1).expect("writable");
        assert!(bytes > 2 * PIECE as u64);
        assert_eq!(pieces, 2);
    }
}
