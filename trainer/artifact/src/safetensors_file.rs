//! One safetensors file, memory-mapped.

use crate::mmap::MappedFile;
use crate::{Dtype, Error, RawTensor, TensorInfo, pickle};
use safetensors::SafeTensors;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

/// The format's own limit on the header.
const MAX_HEADER: u64 = 100_000_000;

/// An opened safetensors file. Its header has been checked: every tensor lies in the file, none overlaps another.
#[derive(Debug)]
pub struct SafetensorsFile {
    map: MappedFile,
    tensors: HashMap<String, (TensorInfo, Range<usize>)>,
    names: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl SafetensorsFile {
    /// Maps the file and reads its header. A pickle under this name is refused as one.
    pub fn open(path: &Path) -> Result<SafetensorsFile, Error> {
        pickle::refuse(path)?;
        let map = MappedFile::open(path)?;
        let bytes = map.bytes();
        let length = bytes.first_chunk::<8>().map(|first| u64::from_le_bytes(*first));
        match length {
            None => return Err(Error::damaged(path, "it is shorter than the 8 bytes that every safetensors file begins with")),
            Some(length) if length > MAX_HEADER => {
                return Err(Error::damaged(
                    path,
                    format!("its header claims {length} bytes, above the limit of {MAX_HEADER}; it is not a safetensors file"),
                ));
            }
            Some(length) if length > bytes.len() as u64 - 8 => {
                return Err(Error::damaged(
                    path,
                    format!("its header claims {length} bytes, but the file has {}; it may be cut short", bytes.len()),
                ));
            }
            Some(_) => {}
        }
        let (header, parsed) = SafeTensors::read_metadata(bytes)
            .map_err(|error| Error::damaged(path, format!("its safetensors header is broken ({error}); it may be cut short")))?;
        let data = 8 + header;
        let mut tensors = HashMap::new();
        let mut in_file_order = Vec::new();
        for (name, view) in parsed.tensors() {
            let dtype = match view.dtype {
                safetensors::Dtype::F32 => Dtype::F32,
                safetensors::Dtype::F16 => Dtype::F16,
                safetensors::Dtype::BF16 => Dtype::BF16,
                other => {
                    return Err(Error::tensor(
                        path,
                        &name,
                        format!("its type {other:?} is not supported; supported are F32, F16 and BF16"),
                    ));
                }
            };
            let range = data + view.data_offsets.0..data + view.data_offsets.1;
            if range.end > bytes.len() || range.start > range.end {
                return Err(Error::tensor(path, &name, "it reaches past the end of the file; it may be cut short"));
            }
            in_file_order.push((range.start, name.clone()));
            let info = TensorInfo { name: name.clone(), shape: view.shape.clone(), dtype };
            tensors.insert(name, (info, range));
        }
        in_file_order.sort();
        let metadata = parsed.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(SafetensorsFile { tensors, names: in_file_order.into_iter().map(|(_, name)| name).collect(), metadata, map })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// The `__metadata__` of the header.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Headers of all tensors, in file order.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.names.iter().filter_map(|name| self.tensors.get(name)).map(|(info, _)| info)
    }

    /// The tensor of this name, if the file has it.
    pub fn get(&self, name: &str) -> Option<RawTensor<'_>> {
        let (info, range) = self.tensors.get(name)?;
        Some(RawTensor { info: info.clone(), stored: &self.map.bytes()[range.clone()], permuted_heads: None })
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Result<RawTensor<'_>, Error> {
        self.get(name).ok_or_else(|| Error::tensor(self.path(), name, "the file does not have it"))
    }
}
