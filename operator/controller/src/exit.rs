//! Exit codes of `temper-operator`.

/// Why the process ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: it was asked to stop, and did.
    Stopped,
    /// 1: something unexpected.
    Unexpected,
    /// 2: the command line, the kubeconfig file or the environment is wrong.
    Usage,
    /// 3: another replica leads now. Kubernetes starts the process again, and it stands by.
    LostLeadership,
}

/// What the help says of the exit codes.
pub const HELP: &str = "\
Exit codes:
  0  asked to stop, and did
  1  something unexpected
  2  the command line, the kubeconfig file or the environment is wrong
  3  another replica leads now; started again, this one stands by";

impl Exit {
    /// Every exit code.
    pub const ALL: [Self; 4] = [Self::Stopped, Self::Unexpected, Self::Usage, Self::LostLeadership];

    /// The number the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::LostLeadership => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exit, HELP};

    #[test]
    fn the_help_lists_every_code() {
        for exit in Exit::ALL {
            assert!(HELP.lines().any(|line| line.split_whitespace().next() == Some(&exit.code().to_string())), "{exit:?}");
        }
        assert_eq!(HELP.lines().count(), Exit::ALL.len() + 1);
    }
}
