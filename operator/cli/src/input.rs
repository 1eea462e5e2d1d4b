//! Reading text files, or standard input where the path is `-`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// No manifest or list of prompts is bigger; a pipe that never ends must not fill the memory.
const MOST_BYTES: u64 = 64 << 20;

/// A file's text. Not being UTF-8 is an error of its own.
pub fn read_text(path: &Path) -> io::Result<String> {
    let source: Box<dyn Read> = if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut text = String::new();
    source.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", MOST_BYTES >> 20)));
    }
    Ok(text)
}
