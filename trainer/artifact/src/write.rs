//! Files that are either whole or not there: written aside (`.NAME.tmp`), flushed to the disk, renamed, the folder flushed. A path has one
//! writer at a time; callers see to that with locks and folders of their own.

use crate::{Dtype, Error, TensorInfo};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file that takes its name only once it is complete. Dropped before that, it leaves nothing behind.
struct Aside {
    file: Option<std::io::BufWriter<File>>,
    aside: PathBuf,
    path: PathBuf,
}

impl Aside {
    fn create(path: &Path) -> Result<Aside, Error> {
        let name = path.file_name().ok_or_else(|| Error::damaged(path, "it is not the path of a file"))?;
        // Always the same name, so that what a killed process left is overwritten by the next one rather than left for ever.
        let aside = path.with_file_name(format!(".{}.tmp", name.to_string_lossy()));
        let file = File::create(&aside).map_err(Error::io("create", &aside))?;
        Ok(Aside { file: Some(std::io::BufWriter::with_capacity(1 << 20, file)), aside, path: path.to_owned() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(Error::io("write", &self.aside)),
            None => Ok(()),
        }
    }

    fn commit(mut self) -> Result<(), Error> {
        let Some(buffered) = self.file.take() else { return Ok(()) };
        let written = buffered.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
        written.and_then(|()| std::fs::rename(&self.aside, &self.path)).map_err(|source| {
            let _ = std::fs::remove_file(&self.aside);
            Error::Io { action: "write", path: self.path.clone(), source }
        })?;
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.aside);
        }
    }
}

/// Makes a folder's entries durable, after a file in it was created, renamed or removed.
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(Error::io("flush", folder))
}

/// Writes a file atomically: a reader sees the old content or the new, never a part.
pub fn atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut aside = Aside::create(path)?;
    aside.write(bytes)?;
    aside.commit()
}

/// Writes a value as indented JSON with a final newline, atomically.
pub fn atomic_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Error> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    text.push(b'\n');
    atomic(path, &text)
}

/// Writes a safetensors file tensor by tensor, so that a large model need not be in memory twice.
pub struct SafetensorsWriter {
    aside: Aside,
    /// Tensors still to come, the next one last.
    remaining: Vec<(String, usize)>,
}

impl SafetensorsWriter {
    /// Writes the header for these tensors, whose data must follow in this order. The same arguments give the same bytes.
    pub fn create(path: &Path, tensors: &[TensorInfo], metadata: &[(&str, &str)]) -> Result<SafetensorsWriter, Error> {
        let mut header = Map::new();
        let pairs: Map<String, Value> = metadata.iter().map(|&(key, value)| (key.to_owned(), value.into())).collect();
        if !pairs.is_empty() {
            header.insert("__metadata__".to_owned(), pairs.into());
        }
        let mut offset = 0;
        let mut remaining = Vec::new();
        for info in tensors {
            if let Dtype::Ggml(kind) = info.dtype {
                return Err(Error::tensor(path, &info.name, format!("safetensors has no type {}", kind.name())));
            }
            let length = info.elements() * info.dtype.block_bytes();
            let entry = json!({"dtype": info.dtype.name(), "shape": info.shape, "data_offsets": [offset, offset + length]});
            if header.insert(info.name.clone(), entry).is_some() {
                return Err(Error::tensor(path, &info.name, "it is given twice"));
            }
            offset += length;
            remaining.push((info.name.clone(), length));
        }
        remaining.reverse();
        let mut header = serde_json::to_vec(&header).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut aside = Aside::create(path)?;
        aside.write(&(header.len() as u64).to_le_bytes())?;
        aside.write(&header)?;
        Ok(SafetensorsWriter { aside, remaining })
    }

    /// Writes the next tensor: little-endian elements in row-major order.
    pub fn tensor(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self.remaining.pop() {
            Some((_, length)) if length == bytes.len() => self.aside.write(bytes),
            Some((name, length)) => {
                Err(Error::tensor(&self.aside.path, &name, format!("{} bytes were given for its {length}", bytes.len())))
            }
            None => Err(Error::damaged(&self.aside.path, "more tensors were given than its header lists")),
        }
    }

    /// Makes the file durable and gives it its name.
    pub fn finish(self) -> Result<(), Error> {
        match self.remaining.last() {
            None => self.aside.commit(),
            Some((name, _)) => Err(Error::tensor(&self.aside.path, name, "its data was not given")),
        }
    }
}

/// Writes a safetensors file with these tensors in this order. PyTorch's libraries expect the metadata `format: pt`.
pub fn safetensors(path: &Path, tensors: &[(TensorInfo, &[u8])], metadata: &[(&str, &str)]) -> Result<(), Error> {
    let infos: Vec<TensorInfo> = tensors.iter().map(|(info, _)| info.clone()).collect();
    let mut writer = SafetensorsWriter::create(path, &infos, metadata)?;
    for (_, bytes) in tensors {
        writer.tensor(bytes)?;
    }
    writer.finish()
}
