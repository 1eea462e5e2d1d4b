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

/// Writes the parts in their order and makes the file durable; returns its SHA-256 and size.
pub(super) fn write(path: &Path, parts: &[Part<'_>]) -> io::Result<(String, u64)> {
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
    for part in parts {
        let elements = part.shape.iter().product::<usize>();
        buffer.resize(4 * elements, 0);
        let flat = part.flat.to_device(tch::Device::Cpu).to_kind(Kind::Float).contiguous();
        flat.f_copy_data_u8(&mut buffer, elements).map_err(io::Error::other)?;
        writer.write_all(&buffer)?;
    }
    let (file, sha256, bytes) = writer.finish();
    file.sync_all()?;
    Ok((sha256, bytes))
}

/// Opens a file to read the parts from. Its names, shapes, types and order must be exactly those of the parts.
pub(super) fn open(path: &Path, parts: &[Part<'_>]) -> Result<BufReader<File>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let header = read_header(&mut reader, size)?;
    let mut offset = 0;
    for part in parts {
        let Entry { dtype, shape, data_offsets } = header
            .get(&part.name)
            .ok_or_else(|| format!("tensor {} is missing: the checkpoint is of another model or method", part.name))?;
        if shape != part.shape || dtype != "F32" {
            return Err(format!("tensor {} is {dtype} {shape:?} instead of F32 {:?}", part.name, part.shape));
        }
        let end = offset + 4 * part.shape.iter().product::<usize>();
        if *data_offsets != [offset, end] {
            return Err(format!("tensor {} is at {data_offsets:?} instead of {:?}", part.name, [offset, end]));
        }
        offset = end;
    }
    if header.len() != parts.len() {
        return Err(format!("{} tensors instead of {}", header.len(), parts.len()));
    }
    Ok(reader)
}

/// Copies the values of an opened file into the parts' ranges.
pub(super) fn read(mut reader: BufReader<File>, parts: &[Part<'_>]) -> Result<(), String> {
    let mut buffer = Vec::new();
    for part in parts {
        let elements = part.shape.iter().product::<usize>();
        buffer.resize(4 * elements, 0);
        reader.read_exact(&mut buffer).map_err(|error| format!("tensor {}: {error}", part.name))?;
        let values = Tensor::f_from_data_size(&buffer, &[elements as i64], Kind::Float).map_err(|error| error.to_string())?;
        let mut range = part.flat.shallow_clone();
        range.f_copy_(&values).map_err(|error| format!("tensor {}: {error}", part.name))?;
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

fn read_header(reader: &mut impl Read, size: u64) -> Result<std::collections::HashMap<String, Entry>, String> {
    let mut length = [0; 8];
    reader.read_exact(&mut length).map_err(|error| error.to_string())?;
    let length = u64::from_le_bytes(length);
    if length > size.saturating_sub(8) {
        return Err(format!("a header of {length} bytes does not fit in a file of {size}"));
    }
    // Bounded by the file's own size just above.
    let mut header = vec![0; length as usize];
    reader.read_exact(&mut header).map_err(|error| error.to_string())?;
    serde_json::from_slice(&header).map_err(|error| format!("header: {error}"))
}
