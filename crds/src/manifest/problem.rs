//! What is wrong with a manifest, where, and what to do about it.

use std::fmt;

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: u64,
    /// The field, such as `spec.dataset.format`; empty for the whole document.
    pub path: String,
    /// The value that stands there, shortened; empty where there is none.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub next_step: String,
}

impl Problem {
    pub(crate) fn new(line: u64, path: &str, value: impl Into<String>, reason: impl Into<String>, next_step: &str) -> Self {
        Self { line, path: path.to_owned(), value: value.into(), reason: reason.into(), next_step: next_step.to_owned() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: ", self.line)?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
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

/// A manifest file that cannot be used: every problem in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The problems, in the order of the file; never empty.
    pub problems: Vec<Problem>,
}

impl From<Problem> for ParseError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseError {}

/// Text that is not YAML.
pub(crate) fn syntax(error: &serde_saphyr::Error) -> Problem {
    let line = error.location().map_or(1, |location| location.line());
    let text = error.without_snippet().to_string();
    // The parser puts the place behind or before its message; the line is said once already.
    let reason = text.lines().next().unwrap_or("is not YAML").trim_start_matches("error: ").to_owned();
    Problem::new(
        line,
        "",
        "",
        format!("is not valid YAML: {reason}"),
        "mend the line; `kubectl apply --dry-run=client` must take the file too",
    )
}
