//! How a stage's process ended when it did not succeed.

use temper_contract::{ExitCode, TerminationMessage};

/// How a process (in a cluster: the first of an attempt's pods to fail) ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What ended it.
    pub cause: Cause,
    /// Its last word, if it left one.
    pub message: Option<TerminationMessage>,
    /// The pod, where there is one.
    pub pod: Option<String>,
}

impl End {
    /// An end of which only the cause is known.
    pub fn of(cause: Cause) -> Self {
        Self { cause, message: None, pod: None }
    }
}

/// What ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It exited with this code. Codes above 128 that no trainer uses mean a signal, as shells and Kubernetes write it.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// The kernel or Kubernetes ended it for using too much memory.
    OutOfMemory,
    /// What ran it went away: the executor was killed, the node was lost, the pod was preempted or evicted. Not the job's doing.
    Interrupted,
}

/// What an end means for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nobody's fault: go on from the checkpoint; not counted.
    Continue,
    /// A failure that another attempt may not have; counted.
    Retry,
    /// Something that the spec names is missing; another attempt helps once it is there. Not counted, tried again ever more rarely.
    Await,
    /// Another attempt would end in the same way.
    Fatal,
}

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

impl End {
    /// The cause with exit codes that stand for signals turned into signals.
    fn plain(&self) -> Cause {
        match self.cause {
            Cause::Exited(code) if ExitCode::from_code(code).is_none() && (129..=192).contains(&code) => Cause::Signalled(code - 128),
            cause => cause,
        }
    }

    /// The exit code as Kubernetes shows it: 128 + n for signal n; none where the process's end was not seen.
    pub fn exit_code(&self) -> Option<i32> {
        match self.cause {
            Cause::Exited(code) => Some(code),
            Cause::Signalled(signal) => Some(128 + signal),
            Cause::OutOfMemory => Some(137),
            Cause::Interrupted => None,
        }
    }

    /// What it means for the job.
    pub fn meaning(&self) -> Meaning {
        match self.plain() {
            Cause::Interrupted | Cause::Signalled(SIGINT | SIGTERM) => Meaning::Continue,
            Cause::OutOfMemory | Cause::Signalled(_) => Meaning::Retry,
            Cause::Exited(code) => match ExitCode::from_code(code) {
                Some(ExitCode::Terminated) => Meaning::Continue,
                Some(ExitCode::Unavailable) => Meaning::Await,
                // A process that says it succeeded and left no report did something unexpected.
                Some(ExitCode::Success) | None => Meaning::Retry,
                Some(code) if code.is_retryable() => Meaning::Retry,
                Some(_) => Meaning::Fatal,
            },
        }
    }

    /// The one-word reason for the status.
    pub fn reason(&self) -> &'static str {
        use temper_crds::condition::reason;
        match self.plain() {
            Cause::Interrupted => reason::INTERRUPTED,
            Cause::OutOfMemory => reason::OUT_OF_MEMORY,
            Cause::Signalled(SIGINT | SIGTERM) => reason::TERMINATED,
            Cause::Signalled(_) => reason::SIGNALLED,
            Cause::Exited(code) => match ExitCode::from_code(code) {
                Some(ExitCode::Usage) => reason::VERSION_SKEW,
                Some(ExitCode::InvalidInput) => reason::INVALID_INPUT,
                Some(ExitCode::Diverged) => reason::DIVERGED,
                Some(ExitCode::Storage) => reason::STORAGE,
                Some(ExitCode::PeerLost) => reason::PEER_LOST,
                Some(ExitCode::Rendezvous) => reason::RENDEZVOUS,
                Some(ExitCode::RestartsExhausted) => reason::RESTARTS_EXHAUSTED,
                Some(ExitCode::Unavailable) => reason::UNAVAILABLE,
                Some(ExitCode::Terminated) => reason::TERMINATED,
                Some(ExitCode::Success | ExitCode::Unexpected) | None => reason::UNEXPECTED,
            },
        }
    }

    /// What happened, in a sentence, with what to do next where the process said so.
    pub fn sentence(&self) -> String {
        if let Some(message) = self.message.as_ref().filter(|message| !message.message.is_empty()) {
            return match message.next_step.as_str() {
                "" => message.message.clone(),
                next_step => format!("{}; {next_step}", message.message),
            };
        }
        match self.plain() {
            Cause::Interrupted => "what ran the process went away".to_owned(),
            Cause::OutOfMemory => {
                "the process used more memory than it may; lower perDeviceTrainBatchSize or maxLength, or raise the memory limit".to_owned()
            }
            Cause::Signalled(9) => {
                "the process was ended by signal 9 (SIGKILL), often for want of memory; lower perDeviceTrainBatchSize or maxLength"
                    .to_owned()
            }
            Cause::Signalled(signal) => format!("the process was ended by signal {signal}; see its log"),
            Cause::Exited(0) => "the process succeeded but left no report; see its log".to_owned(),
            Cause::Exited(code) => format!("the process exited with code {code}; see its log"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, End, Meaning};
    use temper_contract::{ExitCode, TerminationMessage};

    #[test]
    fn every_cause_has_its_meaning_and_reason() {
        let table = [
            (Cause::Exited(0), Meaning::Retry, "Unexpected"),
            (Cause::Exited(1), Meaning::Retry, "Unexpected"),
            (Cause::Exited(2), Meaning::Fatal, "VersionSkew"),
            (Cause::Exited(10), Meaning::Fatal, "InvalidInput"),
            (Cause::Exited(11), Meaning::Fatal, "Diverged"),
            (Cause::Exited(12), Meaning::Retry, "Storage"),
            (Cause::Exited(13), Meaning::Retry, "PeerLost"),
            (Cause::Exited(14), Meaning::Retry, "Rendezvous"),
            (Cause::Exited(15), Meaning::Fatal, "RestartsExhausted"),
            (Cause::Exited(16), Meaning::Await, "Unavailable"),
            (Cause::Exited(143), Meaning::Continue, "Terminated"),
            (Cause::Exited(137), Meaning::Retry, "Signalled"),
            (Cause::Exited(99), Meaning::Retry, "Unexpected"),
            (Cause::Signalled(9), Meaning::Retry, "Signalled"),
            (Cause::Signalled(11), Meaning::Retry, "Signalled"),
            (Cause::Signalled(15), Meaning::Continue, "Terminated"),
            (Cause::Signalled(2), Meaning::Continue, "Terminated"),
            (Cause::OutOfMemory, Meaning::Retry, "OutOfMemory"),
            (Cause::Interrupted, Meaning::Continue, "Interrupted"),
        ];
        for (cause, meaning, reason) in table {
            let end = End::of(cause);
            assert_eq!((end.meaning(), end.reason()), (meaning, reason), "{cause:?}");
            assert!(!end.sentence().is_empty());
        }
    }

    #[test]
    fn the_processs_own_words_are_preferred() {
        let message = TerminationMessage::new(ExitCode::InvalidInput, "rows.jsonl:3: is empty", "mend it");
        let end = End { message: Some(message), ..End::of(Cause::Exited(10)) };
        assert_eq!(end.sentence(), "rows.jsonl:3: is empty; mend it");
    }
}
