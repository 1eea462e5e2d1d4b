//! Lines of a file, none of which can take more memory than a limit.

use std::io::{BufRead, Result};

/// A longer line is passed over and counted, so that a broken file of one huge line costs no more memory than a sound one.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// What the next line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is in the buffer, without its end.
    Complete,
    /// It is longer than the limit and was passed over; the buffer holds nothing of use.
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// The file has no more lines.
    End,
}

/// Reads the next line into `buffer`, of which it uses at most `limit` bytes.
pub(super) fn next(input: &mut impl BufRead, buffer: &mut Vec<u8>, limit: usize) -> Result<Line> {
    buffer.clear();
    let mut bytes = 0u64;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(match bytes {
                0 => Line::End,
                _ => finish(buffer, bytes, limit),
            });
        }
        let end = available.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(available.len(), |end| end + 1);
        let line = &available[..end.unwrap_or(taken)];
        let room = limit.saturating_sub(buffer.len());
        buffer.extend_from_slice(&line[..line.len().min(room)]);
        bytes += line.len() as u64;
        input.consume(taken);
        if end.is_some() {
            return Ok(finish(buffer, bytes, limit));
        }
    }
}

fn finish(buffer: &mut Vec<u8>, bytes: u64, limit: usize) -> Line {
    if bytes > limit as u64 {
        buffer.clear();
        return Line::TooLong { bytes };
    }
    if buffer.last() == Some(&b'\r') {
        buffer.pop();
    }
    Line::Complete
}

#[cfg(test)]
mod tests {
    use super::{Line, next};
    use std::io::{BufReader, Read};

    #[test]
    fn lines_come_without_their_ends_and_long_ones_are_passed_over() {
        let text: &[u8] = b"one\r\n\n0123456789\n01234567890\nlast";
        let mut input = BufReader::with_capacity(3, text);
        let mut buffer = Vec::new();
        let mut lines = Vec::new();
        loop {
            match next(&mut input, &mut buffer, 10).expect("memory") {
                Line::End => break,
                Line::Complete => lines.push(String::from_utf8(buffer.clone()).expect("ASCII")),
                Line::TooLong { bytes } => lines.push(format!("too long: {bytes}")),
            }
        }
        assert_eq!(lines, ["one", "", "0123456789", "too long: 11", "last"]);
    }

    #[test]
    fn a_huge_line_costs_no_more_than_the_limit() {
        let mut input = BufReader::new(std::io::repeat(b'x').take(100 << 20));
        let mut buffer = Vec::new();
        assert_eq!(next(&mut input, &mut buffer, 1 << 20).expect("memory"), Line::TooLong { bytes: 100 << 20 });
        assert!(buffer.capacity() <= 4 << 20, "{}", buffer.capacity());
    }
}
