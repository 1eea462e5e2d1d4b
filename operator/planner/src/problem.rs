//! What is wrong with a spec, and what to do about it.

use std::fmt;

/// One thing that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `spec.dataset.format`.
    pub path: String,
    /// The value that stands there, shortened; empty where there is none.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub next_step: String,
    /// Whether the spec may be right: what it names was not given to this machine, and may be elsewhere.
    pub is_absence: bool,
}

impl Problem {
    /// The reason of what the API has and this version has not.
    pub const NOT_SUPPORTED: &str = "not supported yet";

    /// A problem; the value is shortened to one line.
    pub fn new(path: impl Into<String>, value: impl fmt::Display, reason: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            value: shortened(&value.to_string()),
            reason: reason.into(),
            next_step: next_step.into(),
            is_absence: false,
        }
    }

    /// Something that the spec names and this machine was not given.
    pub fn absence(path: impl Into<String>, value: impl fmt::Display, reason: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { is_absence: true, ..Self::new(path, value, reason, next_step) }
    }

    /// A field that the API has and this version does not carry out.
    pub fn not_supported(path: impl Into<String>, value: impl fmt::Display, next_step: impl Into<String>) -> Self {
        Self::new(path, value, Self::NOT_SUPPORTED, next_step)
    }
}

fn shortened(value: &str) -> String {
    const LONGEST: usize = 80;
    let line = value.lines().next().unwrap_or_default();
    let short: String = line.chars().take(LONGEST).collect();
    if short.len() < value.len() { format!("{short}...") } else { short }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.path)?;
        if !self.value.is_empty() {
            write!(formatter, "{}: ", self.value)?;
        }
        formatter.write_str(&self.reason)?;
        if !self.next_step.is_empty() {
            write!(formatter, "; {}", self.next_step)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
