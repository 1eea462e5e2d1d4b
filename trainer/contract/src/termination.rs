//! The last word of a trainer process, written where Kubernetes looks for it (and where the local executor does): a report where the
//! stage is done, otherwise why it is not.

use crate::exit_code::ExitCode;
use crate::report::{PrepareReport, PublishReport, TrainReport};
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
    /// Restarts of the ranks in place so far, over all attempts of the run; training only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_restarts: Option<u64>,
}

impl TerminationMessage {
    /// A message that only says why, and what to do next.
    pub fn new(reason: ExitCode, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { reason, message: message.into(), next_step: next_step.into(), rank: None, in_place_restarts: None }
    }

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

/// What a stage did, for those who cannot read the run's folder: the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StageReport {
    /// `prepare`'s.
    Prepared(PrepareReport),
    /// `train`'s; node 0 leaves it.
    Trained(TrainReport),
    /// `publish`'s.
    Published(PublishReport),
}

impl StageReport {
    /// The report as JSON. Where Kubernetes would not keep it whole, it loses the lists that stand in the run's folder too: the places of
    /// rejected rows and the digests of single files.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        if json.len() <= MAX_BYTES {
            return json;
        }
        let mut shortened = self.clone();
        match &mut shortened {
            Self::Prepared(report) => report.counts.rejected.values_mut().for_each(|rejection| rejection.first.clear()),
            Self::Trained(_) => {}
            Self::Published(report) => report.files.clear(),
        }
        serde_json::to_string(&shortened).unwrap_or_default()
    }
}

/// What a process left.
#[derive(Clone, Debug, PartialEq)]
pub enum LastWord {
    /// Its stage is done.
    Done(StageReport),
    /// It is not.
    Ended(TerminationMessage),
}

impl LastWord {
    /// Reads what a container left; `None` where it is empty or not a trainer's.
    pub fn parse(text: &str) -> Option<Self> {
        let done = serde_json::from_str(text).map(Self::Done);
        done.or_else(|_| serde_json::from_str(text).map(Self::Ended)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{LastWord, MAX_BYTES, StageReport, TerminationMessage};
    use crate::ExitCode;
    use crate::report::{ArtifactFormat, PublishReport};

    #[test]
    fn a_long_message_is_shortened_to_what_kubernetes_keeps() {
        let message = TerminationMessage {
            rank: Some(1),
            ..TerminationMessage::new(ExitCode::InvalidInput, "\u{e9}\"".repeat(5000), "mend the row")
        };
        let json = message.to_json();
        assert!(json.len() <= MAX_BYTES && json.len() > MAX_BYTES / 2, "{} bytes", json.len());
        let Some(LastWord::Ended(back)) = LastWord::parse(&json) else { panic!("{json}") };
        assert_eq!((back.reason, back.next_step, back.rank), (message.reason, message.next_step, message.rank));
    }

    #[test]
    fn a_long_report_loses_its_lists_and_keeps_its_numbers() {
        let files = (0..200).map(|number| (format!("model-{number:05}.safetensors"), format!("sha256:{number:064}"))).collect();
        let digest = format!("sha256:{:064}", 7);
        let report = PublishReport { path: "/out".to_owned(), format: ArtifactFormat::HuggingFace, digest: digest.clone(), files };
        let json = StageReport::Published(report).to_json();
        assert!(json.len() <= MAX_BYTES, "{} bytes", json.len());
        let Some(LastWord::Done(StageReport::Published(back))) = LastWord::parse(&json) else { panic!("{json}") };
        assert_eq!((back.digest, back.files.len()), (digest, 0));
    }

    #[test]
    fn what_no_trainer_wrote_is_no_last_word() {
        assert_eq!(["", "Killed", "{}"].map(LastWord::parse), [None, None, None]);
    }
}
