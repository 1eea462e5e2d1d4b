//! Which files a data set is made of.

use crate::Error;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// How a supported file's name may end; each may be followed by `.gz` or `.zst`.
const SUFFIXES: [&str; 3] = [".jsonl", ".json", ".ndjson"];

/// Data files of other kinds. In a folder they are refused, not passed over: a user who put one there expects it to be read.
const REFUSED: [&str; 17] = [
    ".parquet", ".csv", ".tsv", ".arrow", ".feather", ".orc", ".avro", ".pkl", ".pickle", ".pt", ".pth", ".npy", ".npz", ".xlsx", ".zip",
    ".tar", ".txt",
];

const SUPPORTED: &str =
    "supported are JSON Lines files, one object a line, named *.jsonl, *.ndjson or *.json, plain or compressed (.gz, .zst)";

/// The files of a data set, in the order in which they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards {
    /// What the user named.
    pub path: PathBuf,
    /// The files, by name.
    pub files: Vec<Shard>,
}

/// One file of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Where it is.
    pub path: PathBuf,
    /// Its size on disk.
    pub bytes: u64,
}

impl Shard {
    /// The file's name, as it stands in messages.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }
}

impl Shards {
    /// One file, or a folder of them in the order of their names (not its sub-folders). Hidden files and files that are no data (a
    /// README, a licence) are passed over in a folder.
    pub fn find(path: &Path) -> Result<Self, Error> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Missing { path: path.to_owned() });
            }
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let mut files = Vec::new();
        if metadata.is_dir() {
            for entry in fs::read_dir(path).map_err(Error::io("list the folder", path))? {
                let file = entry.map_err(Error::io("list the folder", path))?.path();
                let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
                // Before anything else: what is hidden may be a link that leads nowhere, as editors leave them.
                if name.starts_with('.') {
                    continue;
                }
                let metadata = fs::metadata(&file).map_err(Error::io("read", &file))?;
                if !metadata.is_file() {
                    continue;
                }
                refuse_by_name(&file, &name)?;
                if is_supported(&name) {
                    files.push(Shard { path: file, bytes: metadata.len() });
                }
            }
            files.sort_by(|one, other| one.path.cmp(&other.path));
        } else {
            refuse_by_name(path, &path.to_string_lossy().to_lowercase())?;
            files.push(Shard { path: path.to_owned(), bytes: metadata.len() });
        }
        if files.is_empty() {
            return Err(Error::dataset(path, format!("the folder holds no data file; {SUPPORTED}")));
        }
        files.iter().try_for_each(|file| refuse_by_content(&file.path))?;
        if files.iter().all(|file| file.bytes == 0) {
            return Err(Error::dataset(path, "it is empty; it needs at least one row"));
        }
        Ok(Self { path: path.to_owned(), files })
    }

    /// The size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name)
}

fn is_supported(name: &str) -> bool {
    SUFFIXES.iter().any(|suffix| stem(name).ends_with(suffix))
}

fn refuse_by_name(path: &Path, name: &str) -> Result<(), Error> {
    match REFUSED.iter().find(|suffix| stem(name).ends_with(*suffix)) {
        Some(suffix) => Err(Error::dataset(path, format!("{suffix} files are not read; {SUPPORTED}"))),
        None => Ok(()),
    }
}

/// Refuses what a wrong name hides: the first bytes tell.
fn refuse_by_content(path: &Path) -> Result<(), Error> {
    let mut start = [0u8; 8];
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut filled = 0;
    while filled < start.len() {
        match file.read(&mut start[filled..]).map_err(Error::io("read", path))? {
            0 => break,
            read => filled += read,
        }
    }
    let kind = match &start[..filled] {
        [b'P', b'A', b'R', b'1', ..] => "a Parquet file",
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => "an Arrow file",
        [b'P', b'K', 3, 4, ..] => "a zip archive (a PyTorch file is one too)",
        [0x80, 2..=5, ..] => "a Python pickle, which can run code when it is loaded,",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy file",
        [0x42, 0x5a, 0x68, ..] => "a bzip2 file",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file",
        _ => return Ok(()),
    };
    Err(Error::dataset(path, format!("it is {kind} and not read; {SUPPORTED}")))
}

#[cfg(test)]
mod tests {
    use super::Shards;
    use std::fs;

    fn message(result: Result<Shards, crate::Error>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.jsonl", "a.jsonl.gz", "c.JSON", "README.md", ".hidden.jsonl", "d.ndjson.zst"] {
            fs::write(folder.path().join(name), "{}").expect("a file");
        }
        fs::create_dir(folder.path().join("sub.jsonl")).expect("a folder");
        std::os::unix::fs::symlink("somebody@host.1234", folder.path().join(".#a.jsonl")).expect("an editor's lock");
        let shards = Shards::find(folder.path()).expect("readable");
        assert_eq!(shards.files.iter().map(super::Shard::name).collect::<Vec<_>>(), ["a.jsonl.gz", "b.jsonl", "c.JSON", "d.ndjson.zst"]);
        assert_eq!(shards.bytes(), 8);
    }

    #[test]
    fn what_is_not_read_is_refused_with_what_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).expect("a file");
            path
        };
        for (name, content, part) in [
            ("rows.parquet", &b"PAR1"[..], ".parquet files are not read"),
            ("rows.csv.gz", b"a,b", ".csv files are not read"),
            ("parquet.jsonl", b"PAR1\x15\x04", "it is a Parquet file"),
            ("pickle.jsonl", b"\x80\x04\x95", "Python pickle"),
            ("torch.jsonl", b"PK\x03\x04", "zip archive"),
            ("none.jsonl", b"", "it is empty"),
        ] {
            let text = message(Shards::find(&file(name, content)));
            assert!(text.contains(part) && text.contains(name), "{text}");
        }
        assert!(message(Shards::find(&folder.path().join("gone.jsonl"))).contains("no such file"));
        assert!(message(Shards::find(folder.path())).contains("not read"));
        let empty = tempfile::tempdir().expect("a folder");
        assert!(message(Shards::find(empty.path())).contains("supported are JSON Lines"));
    }
}
