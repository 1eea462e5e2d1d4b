//! What a rank's end says about the job. Decides only.

use super::verdict::Verdict;
use temper_contract::{ExitCode, TerminationMessage};

/// How a rank ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With an exit code, and perhaps a word about it.
    Exited { code: i32, message: Option<TerminationMessage> },
    /// By a signal that the supervisor did not send.
    Signalled(i32),
    /// It no longer said that it lives.
    Silent { seconds: u64 },
    /// No rank finished a step for too long.
    Stalled { seconds: u64 },
}

/// How much an end explains, most first: a rank that lost a peer says little, its peer's end says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Final,
    Own,
    LostPeer,
    Fine,
}

/// The verdict over a generation whose ranks have ended, or had to be ended, in these ways.
pub(super) fn judge(ends: &[(usize, End)], was_told_to_stop: bool) -> Verdict {
    let Some((rank, end)) = ends.iter().min_by_key(|(_, end)| weight(end)) else { return Verdict::Done };
    match weight(end) {
        Weight::Fine if ends.iter().any(|(_, end)| code(end) == Some(ExitCode::Terminated)) => Verdict::Terminated,
        Weight::Fine => Verdict::Done,
        Weight::Final => Verdict::Fail(message_of(*rank, end)),
        // Whatever happens after a signal to stop, the last checkpoint is there to go on from.
        _ if was_told_to_stop => Verdict::Terminated,
        weight => Verdict::Restart { reason: describe(*rank, end), peer_lost: weight == Weight::LostPeer },
    }
}

/// The verdict over a generation in which another node has fallen silent or gone.
pub(super) fn judge_lost_node(reason: String, was_told_to_stop: bool) -> Verdict {
    if was_told_to_stop { Verdict::Terminated } else { Verdict::Restart { reason, peer_lost: true } }
}

/// Whether a rank's end is no reason to stop the others.
pub(super) fn is_fine(end: &End) -> bool {
    weight(end) == Weight::Fine
}

/// Whether another rank's end, perhaps a moment away, would explain this one.
pub(super) fn is_lost_peer(end: &End) -> bool {
    weight(end) == Weight::LostPeer
}

fn code(end: &End) -> Option<ExitCode> {
    match end {
        End::Exited { code, .. } => ExitCode::from_code(*code),
        _ => None,
    }
}

fn weight(end: &End) -> Weight {
    match code(end) {
        Some(ExitCode::Success | ExitCode::Terminated) => Weight::Fine,
        Some(ExitCode::PeerLost) => Weight::LostPeer,
        // Ranks that come again at once find the same disk, the same absent nodes and files; a new attempt may not.
        Some(ExitCode::Storage | ExitCode::Rendezvous | ExitCode::Unavailable) => Weight::Final,
        Some(code) if !code.is_retryable() => Weight::Final,
        _ => Weight::Own,
    }
}

fn message_of(rank: usize, end: &End) -> TerminationMessage {
    match end {
        End::Exited { message: Some(message), .. } => message.clone(),
        _ => TerminationMessage {
            rank: Some(rank),
            ..TerminationMessage::new(code(end).unwrap_or(ExitCode::Unexpected), describe(rank, end), "read the log of that rank")
        },
    }
}

fn describe(rank: usize, end: &End) -> String {
    match end {
        End::Exited { message: Some(message), code } => format!("rank {rank} ended with exit code {code}: {}", message.message),
        End::Exited { message: None, code } => format!("rank {rank} ended with exit code {code} and no message"),
        End::Signalled(9) => format!("rank {rank} was killed by SIGKILL: when nobody sent it, the system ran out of memory"),
        End::Signalled(signal) => format!("rank {rank} was killed by signal {signal}"),
        End::Silent { seconds } => format!("rank {rank} gave no heartbeat for {seconds} s"),
        End::Stalled { seconds } => format!("no optimizer step was finished for {seconds} s (failurePolicy.stallTimeoutSeconds)"),
    }
}

#[cfg(test)]
mod tests {
    use super::{End, judge};
    use crate::supervisor::verdict::Verdict;
    use temper_contract::{ExitCode, TerminationMessage};

    fn exited(reason: ExitCode) -> End {
        let message = TerminationMessage::new(reason, format!("{reason:?}"), "");
        End::Exited { code: i32::from(reason.code()), message: Some(message) }
    }

    fn restarts_for(ends: &[(usize, End)]) -> String {
        match judge(ends, false) {
            Verdict::Restart { reason, peer_lost: false } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_well_is_done_and_a_stop_is_terminated() {
        assert_eq!(judge(&[(0, exited(ExitCode::Success)), (1, exited(ExitCode::Success))], false), Verdict::Done);
        assert_eq!(judge(&[(0, exited(ExitCode::Terminated)), (1, exited(ExitCode::Terminated))], true), Verdict::Terminated);
    }

    #[test]
    fn the_end_that_explains_most_is_the_reason() {
        let peer = (0, exited(ExitCode::PeerLost));
        assert!(restarts_for(&[peer.clone(), (1, End::Signalled(9))]).starts_with("rank 1 was killed by SIGKILL"));
        assert!(restarts_for(&[peer.clone(), (1, End::Silent { seconds: 10 })]).contains("rank 1 gave no heartbeat for 10 s"));
        assert!(restarts_for(&[peer, (1, End::Exited { code: 101, message: None })]).contains("rank 1 ended with exit code 101"));
    }

    #[test]
    fn a_lost_peer_that_nothing_explains_is_said_to_be_just_that() {
        let verdict = judge(&[(0, exited(ExitCode::PeerLost)), (1, exited(ExitCode::PeerLost))], false);
        assert!(matches!(verdict, Verdict::Restart { peer_lost: true, .. }), "{verdict:?}");
    }

    #[test]
    fn what_another_try_cannot_mend_fails_at_once() {
        for code in [ExitCode::InvalidInput, ExitCode::Diverged, ExitCode::Storage, ExitCode::Unavailable, ExitCode::Usage] {
            let ends = [(0, exited(ExitCode::PeerLost)), (1, exited(code)), (2, End::Signalled(9))];
            match judge(&ends, false) {
                Verdict::Fail(message) => assert_eq!(message.reason, code),
                other => panic!("{code:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn ranks_that_die_while_stopping_do_not_make_it_a_failure() {
        assert_eq!(judge(&[(0, exited(ExitCode::Terminated)), (1, exited(ExitCode::PeerLost))], true), Verdict::Terminated);
        assert!(matches!(judge(&[(0, exited(ExitCode::Storage))], true), Verdict::Fail(_)));
    }
}
