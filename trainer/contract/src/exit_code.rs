//! Exit codes of `temper-trainer`. The operator's pod failure policy and the local executor decide by them.

use serde::{Deserialize, Serialize};

/// Why a trainer process ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum ExitCode {
    /// 0: the stage is done.
    Success,
    /// 1: something unexpected; worth another try.
    Unexpected,
    /// 2: bad command-line arguments; trying again cannot help.
    Usage,
    /// 10: the configuration, model or data is wrong; trying again cannot help.
    InvalidInput,
    /// 11: training diverged (non-finite gradients beyond the limit); trying again cannot help.
    Diverged,
    /// 12: the disk is full or cannot be written; another try may find room.
    Storage,
    /// 13: a rank died, hung or lost its peers; the others stopped to restart from the checkpoint.
    PeerLost,
    /// 14: the ranks did not find each other in time.
    Rendezvous,
    /// 15: in-place restarts are used up.
    RestartsExhausted,
    /// 16: something that the spec names is not there: a Secret, a volume's file, a bucket, a server. Trying again helps once it is.
    Unavailable,
    /// 143: SIGTERM arrived, the checkpoint is written; not a failure.
    Terminated,
}

impl ExitCode {
    /// Every code, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Success,
        Self::Unexpected,
        Self::Usage,
        Self::InvalidInput,
        Self::Diverged,
        Self::Storage,
        Self::PeerLost,
        Self::Rendezvous,
        Self::RestartsExhausted,
        Self::Unavailable,
        Self::Terminated,
    ];

    /// The number the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::InvalidInput => 10,
            Self::Diverged => 11,
            Self::Storage => 12,
            Self::PeerLost => 13,
            Self::Rendezvous => 14,
            Self::RestartsExhausted => 15,
            Self::Unavailable => 16,
            Self::Terminated => 143,
        }
    }

    /// The meaning of a process's exit code; `None` for one that no trainer uses (a signal's 128 + n, for instance).
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| i32::from(known.code()) == code)
    }

    /// Whether another attempt from the last checkpoint may succeed.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unexpected | Self::Storage | Self::PeerLost | Self::Rendezvous | Self::Unavailable | Self::Terminated)
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_code(i32::from(code.code())), Some(code));
        }
        assert_eq!(ExitCode::from_code(137), None);
    }
}
