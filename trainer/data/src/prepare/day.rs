//! The day on which rows are rendered, for templates that write the date (`strftime_now`), as midnight in UTC. A run keeps the day of its
//! first preparation in its folder: rows that are prepared again become the same tokens, and none of them is rendered on two days.

use crate::Error;
use crate::error::shortened;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::io::ErrorKind;
use std::path::Path;
use temper_artifact::write;

/// In the run's folder: the day, as in 2026-07-26.
pub(super) const FILE: &str = "template-date.txt";

/// The run's day: today when this is asked for the first time.
pub(super) fn of_run(run_folder: &Path) -> Result<Timestamp, Error> {
    let path = run_folder.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            text.trim().parse::<Date>().and_then(midnight).map_err(|error| {
                let (path, value) = (path.display(), shortened(text.trim()));
                undated(format!("{path} holds {value:?}: {error}; write a day such as 2026-07-26 into it, or remove it to take today's"))
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let day = today()?;
            std::fs::create_dir_all(run_folder).map_err(Error::io("make the folder", run_folder))?;
            write::atomic(&path, format!("{}\n", day.to_zoned(TimeZone::UTC).date()).as_bytes())?;
            Ok(day)
        }
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// The day that it is now.
pub(super) fn today() -> Result<Timestamp, Error> {
    midnight(Timestamp::now().to_zoned(TimeZone::UTC).date()).map_err(|error| undated(format!("{error}; set this machine's clock")))
}

fn midnight(date: Date) -> Result<Timestamp, jiff::Error> {
    Ok(date.to_zoned(TimeZone::UTC)?.timestamp())
}

fn undated(reason: String) -> Error {
    Error::Template { action: "date", line: None, reason }
}
