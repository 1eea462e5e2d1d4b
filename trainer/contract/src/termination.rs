//! The last word of a trainer process, written where Kubernetes looks for it (and where the local executor does).

use crate::exit_code::ExitCode;
use serde::{Deserialize, Serialize};

/// Kubernetes keeps at most this many bytes of a container's termination message.
pub const MAX_BYTES: usize = 4096;

/// Why the process ended, for people and for the operator's status. Never holds a secret or a row's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminationMessage {
    /// The meaning of the exit code.
    pub reason: ExitCode,
    /// What went wrong: field or file, line, value, reason.
    pub message: String,
    /// What to do next; empty after success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next_step: String,
    /// The rank it concerns, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
}

impl TerminationMessage {
    /// The message as JSON, its text shortened so that the whole fits in what Kubernetes keeps.
    pub fn to_json(&self) -> String {
        let mut shortened = self.clone();
        loop {
            let json = serde_json::to_string(&shortened).unwrap_or_default();
            if json.len() <= MAX_BYTES {
                return json;
            }
            if shortened.message.is_empty() {
                shortened.next_step.clear();
            }
            // Escapes make the JSON longer than the text, so shorten in proportion and look again.
            let target = (shortened.message.len() * MAX_BYTES / json.len()).saturating_sub(1);
            let cut = (0..=target).rev().find(|&at| shortened.message.is_char_boundary(at)).unwrap_or(0);
            shortened.message.truncate(cut);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, TerminationMessage};
    use crate::ExitCode;

    #[test]
    fn a_long_message_is_shortened_to_what_kubernetes_keeps() {
        let message = TerminationMessage {
            reason: ExitCode::InvalidInput,
            message: "\u{e9}\"".repeat(5000),
            next_step: "mend the row".to_owned(),
            rank: Some(1),
        };
        let json = message.to_json();
        assert!(json.len() <= MAX_BYTES && json.len() > MAX_BYTES / 2, "{} bytes", json.len());
        let back: TerminationMessage = serde_json::from_str(&json).expect("still JSON");
        assert_eq!((back.reason, back.next_step, back.rank), (message.reason, message.next_step, message.rank));
    }
}
