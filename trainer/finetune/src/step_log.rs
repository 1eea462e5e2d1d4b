//! One line an optimizer step, in the run's folder. A resumed run cuts off what came after its checkpoint, so no step is there twice.

use crate::failure::{Failure, Result};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use temper_contract::event::StepRecord;

/// The open log; lines go to the system as they are written.
#[derive(Debug)]
pub(crate) struct StepLog {
    file: File,
    path: PathBuf,
}

impl StepLog {
    /// Opens the log to go on after `step`: later lines and a torn last line are cut off.
    pub(crate) fn resume(path: &Path, step: u64) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Failure::at("open the step log", path))?;
        let kept = kept_bytes(&file, step).map_err(Failure::at("read the step log", path))?;
        file.set_len(kept).and_then(|()| file.seek(SeekFrom::End(0))).map_err(Failure::at("cut the step log", path))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Adds a line.
    pub(crate) fn append(&mut self, record: &StepRecord) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(|error| Failure::unexpected(format!("{}: {error}", self.path.display())))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(Failure::at("write", &self.path))
    }

    /// Makes the lines durable; called before a checkpoint that follows them is committed.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Failure::at("make durable", &self.path))
    }
}

/// Length of the leading lines that are whole and belong to steps up to `step`.
fn kept_bytes(file: &File, step: u64) -> std::io::Result<u64> {
    let mut reader = BufReader::new(file);
    let mut kept = 0;
    let mut line = String::new();
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) => return Ok(kept),
            Ok(read) => match serde_json::from_str::<StepRecord>(&line) {
                Ok(record) if line.ends_with('\n') && record.step <= step => kept += read as u64,
                _ => return Ok(kept),
            },
            Err(error) if error.kind() == ErrorKind::InvalidData => return Ok(kept),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StepLog;
    use std::io::Write;
    use temper_contract::event::StepRecord;

    fn record(step: u64) -> StepRecord {
        StepRecord {
            step,
            epoch: 0.5,
            training_loss: 1.25,
            learning_rate: 1e-4,
            gradient_norm: 0.5,
            tokens: 10,
            target_tokens: 5,
            seconds: 0.1,
            skipped: false,
        }
    }

    fn steps(path: &std::path::Path) -> Vec<u64> {
        let text = std::fs::read_to_string(path).expect("the log is there");
        text.lines().map(|line| serde_json::from_str::<StepRecord>(line).expect("a whole line").step).collect()
    }

    #[test]
    fn resuming_cuts_off_later_steps_and_a_torn_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("steps.jsonl");
        let mut log = StepLog::resume(&path, 0).expect("new");
        for step in 1..=5 {
            log.append(&record(step)).expect("writable");
        }
        log.file.write_all(br#"{"step": 6, "epo"#).expect("writable");
        let mut log = StepLog::resume(&path, 3).expect("there");
        assert_eq!(steps(&path), [1, 2, 3]);
        log.append(&record(4)).expect("writable");
        drop(StepLog::resume(&path, 9).expect("there"));
        assert_eq!(steps(&path), [1, 2, 3, 4]);
    }
}
