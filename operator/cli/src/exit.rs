//! Exit codes of `temper`, and the error that carries one.

use std::fmt;

/// Why `temper` ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Success,
    /// 1: something unexpected.
    Unexpected,
    /// 2: the command line is wrong.
    Usage,
    /// 3: a manifest, model, data set or folder cannot be used, because it is wrong, missing, full or closed to this user; nothing was
    /// started, or the job found out and cannot succeed as things are.
    InvalidInput,
    /// 4: the job ran and failed.
    JobFailed,
    /// 5: the job is complete but a `--require` threshold was missed.
    RequirementMissed,
    /// 6: another `temper` runs this job at the moment.
    Busy,
    /// 7: the cluster cannot be reached, refuses, or does not have what was named.
    Cluster,
    /// 130: interrupted; what was committed stays and the same command continues.
    Interrupted,
}

/// What the help says of the exit codes.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    something unexpected
  2    the command line is wrong
  3    a manifest, model, data set or folder cannot be used
  4    the job ran and failed
  5    the job is complete but a --require threshold was missed
  6    another temper runs this job at the moment
  7    the cluster cannot be reached, refuses, or does not have what was named
  130  interrupted; the same command continues";

impl Exit {
    /// Every exit code, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Unexpected,
        Self::Usage,
        Self::InvalidInput,
        Self::JobFailed,
        Self::RequirementMissed,
        Self::Busy,
        Self::Cluster,
        Self::Interrupted,
    ];

    /// The number the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::InvalidInput => 3,
            Self::JobFailed => 4,
            Self::RequirementMissed => 5,
            Self::Busy => 6,
            Self::Cluster => 7,
            Self::Interrupted => 130,
        }
    }
}

/// A reason to end, with its exit code and what to do next. `main` prints both lines to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// Field or file, value and reason.
    pub message: String,
    /// What to do next; empty where the message says all.
    pub next_step: String,
}

impl Stop {
    /// A reason to end with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next_step: next_step.into() }
    }

    /// A manifest, model, data set, folder or other input that cannot be used.
    pub fn invalid(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(Exit::InvalidInput, message, next_step)
    }

    /// A cluster that cannot be reached, refuses, or does not have what was named.
    pub fn cluster(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(Exit::Cluster, message, next_step)
    }

    /// A command line that is wrong.
    pub fn usage(message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message, next_step)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Stop {}

/// The exit code and the lines for standard error of an error that reached `main`.
pub fn report(error: &anyhow::Error) -> (Exit, String) {
    match error.downcast_ref::<Stop>() {
        Some(stop) if stop.next_step.is_empty() => (stop.exit, format!("error: {stop}")),
        Some(stop) => (stop.exit, format!("error: {stop}\n next: {}", stop.next_step)),
        None => (Exit::Unexpected, format!("error: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, HELP, Stop, report};

    #[test]
    fn the_help_lists_every_code() {
        for exit in Exit::ALL {
            assert!(HELP.lines().any(|line| line.split_whitespace().next() == Some(&exit.code().to_string())), "{exit:?}");
        }
        assert_eq!(HELP.lines().count(), Exit::ALL.len() + 1);
    }

    #[test]
    fn a_stop_keeps_its_code_through_anyhow() {
        let error = anyhow::Error::from(Stop::invalid("job.yaml:3: no", "mend it"));
        assert_eq!(report(&error), (Exit::InvalidInput, "error: job.yaml:3: no\n next: mend it".to_owned()));
        let error = anyhow::anyhow!("inner").context("outer");
        assert_eq!(report(&error), (Exit::Unexpected, "error: outer: inner".to_owned()));
    }
}
