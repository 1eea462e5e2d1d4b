//! The rows of a data set, one after another, from plain or compressed files.

use super::line::{self, Line, MAX_LINE_BYTES};
use super::{Row, Shard, Shards};
use crate::Error;
use crate::rejections::{Reason, Rejected};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use temper_contract::config::DatasetFormat;

/// Reads a data set with bounded memory: one line at a time, and no line longer than [`MAX_LINE_BYTES`].
pub struct RowReader {
    shards: std::vec::IntoIter<Shard>,
    format: DatasetFormat,
    current: Option<Current>,
    buffer: Vec<u8>,
    /// Bytes taken from the disk so far (compressed ones where files are).
    read: Arc<AtomicU64>,
}

struct Current {
    shard: Shard,
    name: Arc<str>,
    input: Box<dyn BufRead>,
    line: u64,
}

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.file, self.line)
    }
}

impl RowReader {
    /// Starts at the first row of the first file.
    pub fn new(shards: &Shards, format: DatasetFormat) -> Self {
        Self { shards: shards.files.clone().into_iter(), format, current: None, buffer: Vec::new(), read: Arc::default() }
    }

    /// Bytes read from the disk so far, of [`Shards::bytes`].
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of the line that the last row was read from: its memory is a small multiple of that.
    pub fn line_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The next row and where it stands, or why it cannot be used. Empty lines are passed over.
    #[expect(clippy::type_complexity, reason = "a row, or its rejection, or the end, or a failure: naming the nesting would hide it")]
    pub fn next_row(&mut self) -> Result<Option<(Place, Result<Row, Rejected>)>, Error> {
        loop {
            let current = match &mut self.current {
                Some(current) => current,
                None => match self.shards.next() {
                    Some(shard) => self.current.insert(open(shard, &self.read)?),
                    None => return Ok(None),
                },
            };
            let found = line::next(&mut current.input, &mut self.buffer, MAX_LINE_BYTES)
                .map_err(|error| unreadable(&current.shard, current.line, &error))?;
            if found == Line::End {
                self.current = None;
                continue;
            }
            current.line += 1;
            let place = Place { file: Arc::clone(&current.name), line: current.line };
            let mut line = self.buffer.as_slice();
            if current.line == 1 {
                // A byte order mark, which some editors put before the first row.
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            let row = match found {
                Line::TooLong { bytes } => {
                    Err(Rejected::new(Reason::LineTooLong, format!("the line has {bytes} bytes; the limit is {MAX_LINE_BYTES}")))
                }
                _ if line.trim_ascii().is_empty() => continue,
                _ => Row::parse(line, self.format),
            };
            return Ok(Some((place, row)));
        }
    }
}

fn unreadable(shard: &Shard, line: u64, error: &io::Error) -> Error {
    let hint = if error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::UnexpectedEof {
        "; the compressed file is damaged or cut off, make it anew"
    } else {
        ""
    };
    Error::dataset(&shard.path, format!("reading stopped after line {line}: {error}{hint}"))
}

/// Opens a file; compression is told by its first bytes, not by its name.
fn open(shard: Shard, read: &Arc<AtomicU64>) -> Result<Current, Error> {
    let file = File::open(&shard.path).map_err(Error::io("open", &shard.path))?;
    let mut raw = BufReader::with_capacity(1 << 18, Counted { file, read: Arc::clone(read) });
    let start = raw.fill_buf().map_err(Error::io("read", &shard.path))?;
    let input: Box<dyn BufRead> = match start {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(raw))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(raw).map_err(Error::io("decompress", &shard.path))?;
            Box::new(BufReader::with_capacity(1 << 18, decoder))
        }
        _ => {
            if start.trim_ascii_start().first() == Some(&b'[') && shard.name().to_lowercase().ends_with(".json") {
                return Err(Error::dataset(
                    &shard.path,
                    "it starts with '[', so it is one JSON array; write one object a line instead (for example with: jq -c '.[]')",
                ));
            }
            Box::new(raw)
        }
    };
    let name = shard.name().into();
    Ok(Current { shard, name, input, line: 0 })
}

/// A file that says how far it has been read.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::type_complexity, reason = "tables of cases")]

    use super::{RowReader, Shards};
    use crate::rejections::Reason;
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use temper_contract::config::DatasetFormat::Text;

    fn read(path: &Path) -> Result<Vec<(String, Result<String, Reason>)>, crate::Error> {
        let shards = Shards::find(path)?;
        let mut reader = RowReader::new(&shards, Text);
        let mut rows = Vec::new();
        while let Some((place, row)) = reader.next_row()? {
            rows.push((place.to_string(), row.map(|row| row.text().into_owned()).map_err(|rejected| rejected.reason)));
        }
        assert_eq!(reader.bytes_read(), shards.bytes());
        Ok(rows)
    }

    #[test]
    fn shards_plain_and_compressed_are_read_line_by_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.jsonl"), "\u{feff}{\"text\": \"1\"}\r\n\n  \n{\"text\": 2}\n{\"text\": \"3\"}").expect("a file");
        let mut gz = flate2::write::GzEncoder::new(fs::File::create(path("b.jsonl.gz")).expect("a file"), flate2::Compression::fast());
        gz.write_all(b"{\"text\": \"4\"}\n").and_then(|()| gz.try_finish()).expect("written");
        fs::write(path("c.jsonl.zst"), zstd::encode_all(&b"{\"text\": \"5\"}\n{\"text\": \"6\"}\n"[..], 1).expect("compressed"))
            .expect("a file");
        let expected = [
            ("a.jsonl:1", Ok("1")),
            ("a.jsonl:4", Err(Reason::WrongType)),
            ("a.jsonl:5", Ok("3")),
            ("b.jsonl.gz:1", Ok("4")),
            ("c.jsonl.zst:1", Ok("5")),
            ("c.jsonl.zst:2", Ok("6")),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(place, row)| (place.to_owned(), row.map(str::to_owned))).collect();
        assert_eq!(read(folder.path()).expect("readable"), expected);
    }

    #[test]
    fn a_line_beyond_the_limit_is_counted_and_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.jsonl");
        let mut file = fs::File::create(&path).expect("a file");
        file.write_all(b"{\"text\": \"").and_then(|()| file.write_all(&vec![b'x'; 17 << 20])).expect("written");
        file.write_all(b"\"}\n{\"text\": \"next\"}\n").expect("written");
        let rows = read(&path).expect("readable");
        assert_eq!(rows, [("a.jsonl:1".to_owned(), Err(Reason::LineTooLong)), ("a.jsonl:2".to_owned(), Ok("next".to_owned()))]);
    }

    #[test]
    fn a_cut_off_archive_and_a_json_array_say_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&b"{\"text\": \"4\"}\n".repeat(100)).expect("memory");
        let mut bytes = gz.finish().expect("memory");
        bytes.truncate(bytes.len() - 9);
        let cut = folder.path().join("cut.jsonl.gz");
        fs::write(&cut, bytes).expect("a file");
        let text = read(&cut).expect_err("cut off").to_string();
        assert!(text.contains("cut.jsonl.gz") && text.contains("cut off"), "{text}");
        let array = folder.path().join("array.json");
        fs::write(&array, "[{\"text\": \"a\"}]").expect("a file");
        assert!(read(&array).expect_err("an array").to_string().contains("one object a line"));
    }
}
