//! A GGUF file's header: metadata and tensor table.

use super::cursor::Cursor;
use super::ggml_type::{self, SUPPORTED};
use super::{GgufValue, MAGIC};
use crate::mmap::MappedFile;
use crate::{Dtype, Error};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// ggml's own limits: a tensor's name, a key, and the number of dimensions.
const MAX_NAME: usize = 1024;
const MAX_KEY: usize = 65_535;
const MAX_DIMENSIONS: u32 = 4;
/// Bytes of the smallest metadata pair (empty key, type, one byte) and of the smallest entry of the tensor table.
const LEAST_PAIR: u64 = 8 + 4 + 1;
const LEAST_TENSOR: u64 = 8 + 4 + 4 + 8;

/// An opened GGUF file.
#[derive(Debug)]
pub struct GgufFile {
    map: MappedFile,
    metadata: HashMap<String, GgufValue>,
    tensors: Vec<GgufTensor>,
}

/// An entry of the tensor table, checked to lie inside the file.
#[derive(Clone, Debug)]
pub struct GgufTensor {
    /// llama.cpp's name, such as `blk.0.attn_q.weight`.
    pub name: String,
    /// Shape with the slowest dimension first, as in transformers (the file has it the other way round).
    pub shape: Vec<usize>,
    /// Storage type.
    pub dtype: Dtype,
    bytes: Range<usize>,
}

impl GgufFile {
    /// Maps the file and reads its header. Tensors are checked for type and extent; their data is not touched.
    pub fn open(path: &Path) -> Result<GgufFile, Error> {
        let map = MappedFile::open(path)?;
        let (metadata, table, data) = read_header(map.bytes()).map_err(|reason| Error::damaged(path, reason))?;
        let split = metadata.get("split.count").and_then(GgufValue::as_u64).unwrap_or(0);
        if split > 1 {
            return Err(Error::field(
                path,
                "split.count",
                split,
                "models split over several GGUF files are not supported; merge them first (llama-gguf-split --merge)",
            ));
        }
        let mut tensors = Vec::with_capacity(table.len());
        let mut seen = std::collections::HashSet::with_capacity(table.len());
        for entry in table {
            if !seen.insert(entry.name) {
                return Err(Error::tensor(path, entry.name, "it is listed twice"));
            }
            tensors.push(entry.check(map.bytes().len(), data).map_err(|reason| Error::tensor(path, entry.name, reason))?);
        }
        Ok(GgufFile { map, metadata, tensors })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// The value of a metadata key.
    pub fn value(&self, key: &str) -> Option<&GgufValue> {
        self.metadata.get(key)
    }

    /// The tensor table in file order.
    pub fn tensors(&self) -> &[GgufTensor] {
        &self.tensors
    }

    /// A tensor's bytes.
    pub fn bytes(&self, tensor: &GgufTensor) -> &[u8] {
        &self.map.bytes()[tensor.bytes.clone()]
    }

    pub(crate) fn error(&self, key: &str, value: impl std::fmt::Display, reason: impl Into<String>) -> Error {
        Error::field(self.path(), key, value, reason)
    }

    pub(crate) fn usize(&self, key: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.error(key, value, "a whole number from 0 is expected"))
    }

    pub(crate) fn f64(&self, key: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.error(key, value, "a finite number is expected"))
    }

    pub(crate) fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.error(key, value, "true or false is expected"))
    }

    pub(crate) fn str(&self, key: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.error(key, value, "a string is expected"))
    }
}

/// A tensor table entry as the file has it.
struct RawEntry<'a> {
    name: &'a str,
    shape: Vec<u64>,
    kind: u32,
    offset: u64,
}

impl RawEntry<'_> {
    fn check(&self, file_length: usize, data: usize) -> Result<GgufTensor, String> {
        let dtype = ggml_type::from_number(self.kind)
            .map_err(|name| format!("its type {name} is not supported; supported are {SUPPORTED}; quantise the model to one of these"))?;
        let shape: Option<Vec<usize>> = self.shape.iter().rev().map(|&dimension| usize::try_from(dimension).ok()).collect();
        let elements = shape.as_ref().and_then(|shape| shape.iter().try_fold(1usize, |product, &dimension| product.checked_mul(dimension)));
        let (Some(shape), Some(elements)) = (shape, elements) else {
            return Err(format!("its shape {:?} has more elements than can be counted", self.shape));
        };
        let row = shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(dtype.block_elements()) {
            return Err(format!("its rows of {row} elements are not whole blocks of {} ({})", dtype.block_elements(), dtype.name()));
        }
        let bytes = (elements / dtype.block_elements()).checked_mul(dtype.block_bytes());
        let start = usize::try_from(self.offset).ok().and_then(|offset| offset.checked_add(data));
        let range = start.zip(bytes).and_then(|(start, bytes)| Some(start..start.checked_add(bytes)?));
        match range {
            Some(range) if range.end <= file_length => Ok(GgufTensor { name: self.name.to_owned(), shape, dtype, bytes: range }),
            _ => {
                Err(format!("its data of shape {shape:?} at offset {} reaches past the end of the file; it may be cut short", self.offset))
            }
        }
    }
}

type Header<'a> = (HashMap<String, GgufValue>, Vec<RawEntry<'a>>, usize);

fn read_header(bytes: &[u8]) -> Result<Header<'_>, String> {
    let mut cursor = Cursor::new(bytes);
    if &cursor.array::<4>("the magic")? != MAGIC {
        return Err("it is not a GGUF file (they begin with the letters GGUF); give a model folder or a .gguf file".to_owned());
    }
    let version = cursor.u32("the version")?;
    if version.swap_bytes() == 2 || version.swap_bytes() == 3 {
        return Err("it is a big-endian GGUF file; only little-endian ones are supported".to_owned());
    }
    if version != 2 && version != 3 {
        return Err(format!("its GGUF version is {version}; supported are 2 and 3"));
    }
    let tensor_count = cursor.u64("the tensor count")?;
    let pair_count = cursor.u64("the metadata count")?;
    let fits = |count: u64, least: u64| count.checked_mul(least).is_some_and(|bytes| bytes <= bytes_left(&cursor));
    if !fits(tensor_count, LEAST_TENSOR) || !fits(pair_count, LEAST_PAIR) {
        return Err(format!(
            "it claims {tensor_count} tensors and {pair_count} metadata pairs, more than the file can hold; it may be cut short"
        ));
    }
    let mut metadata = HashMap::new();
    for _ in 0..pair_count {
        let key = cursor.name("a metadata key", MAX_KEY)?;
        let value = GgufValue::read(&mut cursor, key)?;
        if metadata.insert(key.to_owned(), value).is_some() {
            return Err(format!("the metadata key {key} is there twice"));
        }
    }
    let mut table = Vec::new();
    for _ in 0..tensor_count {
        let name = cursor.name("a tensor name", MAX_NAME)?;
        let dimensions = cursor.u32(name)?;
        if dimensions > MAX_DIMENSIONS {
            return Err(format!("tensor {name} has {dimensions} dimensions; at most {MAX_DIMENSIONS} are allowed"));
        }
        let shape = (0..dimensions).map(|_| cursor.u64(name)).collect::<Result<_, _>>()?;
        table.push(RawEntry { name, shape, kind: cursor.u32(name)?, offset: cursor.u64(name)? });
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(value) => value
            .as_u64()
            .filter(|&alignment| alignment.is_power_of_two() && (8..=1 << 20).contains(&alignment))
            .ok_or_else(|| format!("general.alignment is {value}; a power of two from 8 is expected"))?,
    };
    let data = cursor.position().next_multiple_of(alignment as usize);
    if let Some(entry) = table.iter().find(|entry| entry.offset % alignment != 0) {
        return Err(format!("tensor {} lies at offset {}, which is not a multiple of the alignment {alignment}", entry.name, entry.offset));
    }
    Ok((metadata, table, data))
}

fn bytes_left(cursor: &Cursor<'_>) -> u64 {
    cursor.remaining() as u64
}
