//! Results for machines: the same value as JSON or YAML.

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use std::io::Write;

/// How to print a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// The value in a machine's format; `None` for tables, which each command lays out itself.
pub fn machine_text<T: Serialize>(format: Format, value: &T) -> Result<Option<String>> {
    match format {
        Format::Table => Ok(None),
        Format::Json => Ok(Some(serde_json::to_string_pretty(value).context("cannot write the result as JSON")? + "\n")),
        Format::Yaml => Ok(Some(serde_saphyr::to_string(value).context("cannot write the result as YAML")?)),
    }
}

/// Writes to standard output. A reader that has gone (`temper ... | head`) is not an error.
pub fn print(text: &str) -> Result<()> {
    print_to_reader(text).map(|_| ())
}

/// The same, for output without an end: whether there is still a reader.
pub fn print_to_reader(text: &str) -> Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        result => result.context("cannot write to standard output").map(|()| true),
    }
}
