//! `failurePolicy.maxRestarts`: what a stage that ended without its report does next.
//!
//! In-place restarts and attempts of every stage draw on one budget. Ends that are not the job's doing (SIGTERM, a lost machine, a
//! suspension) do not count; wrong input and divergence end the job at once.

use crate::backoff;
use crate::end::{End, Meaning};
use crate::intent::StopReason;
use crate::observed::{Attempt, Observed, State};
use temper_crds::Timestamp;
use temper_crds::condition::reason;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start the attempt that comes next.
    Start,
    /// Start it at that time.
    WaitUntil(Timestamp),
    /// Something that the spec names is missing: look again at that time.
    Await {
        /// When.
        until: Timestamp,
        /// What is missing and what to do, in a sentence.
        message: String,
    },
    /// Give up.
    Fail {
        /// In one word.
        reason: &'static str,
        /// In a sentence.
        message: String,
    },
}

/// What an attempt's end means, in the light of why it was told to stop.
pub fn meaning(end: &End, stop: Option<StopReason>) -> Meaning {
    match stop {
        Some(StopReason::Suspended | StopReason::DeadlineExceeded) => Meaning::Continue,
        Some(StopReason::NoProgress) => Meaning::Retry,
        Some(StopReason::PodsMissing) => Meaning::Await,
        None => end.meaning(),
    }
}

/// Failures and in-place restarts so far: what has been drawn from `maxRestarts`.
///
/// Failures from before `retried_at` are forgiven: a person has asked for another try since.
pub fn used(observed: &Observed) -> u64 {
    let in_place: u64 = observed
        .training
        .iter()
        .filter(|training| !forgiven(&training.attempt, observed))
        .map(|training| training.in_place_restarts)
        .fold(0, u64::saturating_add);
    in_place.saturating_add(counted_failures(observed))
}

/// Attempts of any stage that failed and count.
pub fn counted_failures(observed: &Observed) -> u64 {
    let training = observed.training.iter().filter(|training| counts(&training.attempt, observed)).count();
    let prepare = observed.prepare.iter().filter(|attempt| counts(attempt, observed)).count();
    let publish = observed.publish.iter().filter(|attempt| counts(attempt, observed)).count();
    (training + prepare + publish) as u64
}

fn counts<Report>(attempt: &Attempt<Report>, observed: &Observed) -> bool {
    match &attempt.state {
        State::Failed { end, .. } => meaning(end, attempt.stop) == Meaning::Retry && !forgiven(attempt, observed),
        _ => false,
    }
}

fn forgiven<Report>(attempt: &Attempt<Report>, observed: &Observed) -> bool {
    match (&attempt.state, observed.retried_at) {
        (State::Failed { at, .. }, Some(retried_at)) => *at <= retried_at,
        _ => false,
    }
}

/// Decides for a stage none of whose attempts runs or has succeeded.
pub fn decide<Report>(attempts: &[&Attempt<Report>], observed: &Observed, max_restarts: u64, now: Timestamp) -> Decision {
    let Some((attempt, end, at)) = attempts.last().and_then(|attempt| match &attempt.state {
        State::Failed { end, at } => Some((attempt, end, *at)),
        _ => None,
    }) else {
        return Decision::Start;
    };
    if forgiven(attempt, observed) {
        return Decision::Start;
    }
    let counted = match meaning(end, attempt.stop) {
        Meaning::Fatal => return Decision::Fail { reason: end.reason(), message: end.sentence() },
        Meaning::Continue => 0,
        Meaning::Retry => counted_failures(observed),
        // Twice the usual waits, and nothing is used up: it can take a person days to make the missing thing.
        Meaning::Await => {
            let until = backoff::until(at, awaited(attempts) + 1, now);
            return match attempt.stop {
                _ if until <= now => Decision::Start,
                // Machines may be on their way; there is nothing that somebody must do.
                Some(StopReason::PodsMissing) => Decision::WaitUntil(until),
                _ => Decision::Await { until, message: end.sentence() },
            };
        }
    };
    let used = used(observed);
    if used > max_restarts {
        let last = if attempt.stop == Some(StopReason::NoProgress) { "no step was finished in time".to_owned() } else { end.sentence() };
        let message = format!("failurePolicy.maxRestarts ({max_restarts}) is used up; the last failure: {last}");
        return Decision::Fail { reason: reason::RESTARTS_EXHAUSTED, message };
    }
    let until = backoff::until(at, counted, now);
    if until <= now { Decision::Start } else { Decision::WaitUntil(until) }
}

/// How many of the last attempts ended one after the other for want of something.
fn awaited<Report>(attempts: &[&Attempt<Report>]) -> u64 {
    let awaits = |attempt: &&&Attempt<Report>| match &attempt.state {
        State::Failed { end, .. } => meaning(end, attempt.stop) == Meaning::Await,
        _ => false,
    };
    attempts.iter().rev().take_while(awaits).count() as u64
}

#[cfg(test)]
mod tests {
    use super::{Decision, decide, used};
    use crate::end::{Cause, End};
    use crate::intent::StopReason;
    use crate::observed::{Attempt, Observed, State, TrainingAttempt};
    use temper_crds::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn ended(cause: Cause, second: i64, stop: Option<StopReason>) -> TrainingAttempt {
        let state = State::Failed { end: End::of(cause), at: at(second) };
        TrainingAttempt { attempt: Attempt { started_at: at(0), state, stop }, last_progress: None, in_place_restarts: 0 }
    }

    fn decision(observed: &Observed, max_restarts: u64, now: i64) -> Decision {
        let attempts: Vec<_> = observed.training.iter().map(|training| &training.attempt).collect();
        decide(&attempts, observed, max_restarts, at(now))
    }

    fn reason(decision: &Decision) -> &str {
        match decision {
            Decision::Start => "start",
            Decision::WaitUntil(_) => "wait",
            Decision::Await { .. } => "await",
            Decision::Fail { reason, .. } => reason,
        }
    }

    #[test]
    fn each_end_has_its_consequence() {
        let table = [
            (Cause::Exited(1), None, "wait"),
            (Cause::Exited(2), None, "VersionSkew"),
            (Cause::Exited(10), None, "InvalidInput"),
            (Cause::Exited(11), None, "Diverged"),
            (Cause::Exited(12), None, "wait"),
            (Cause::Exited(13), None, "wait"),
            (Cause::Exited(14), None, "wait"),
            (Cause::Exited(15), None, "RestartsExhausted"),
            (Cause::Exited(16), None, "await"),
            (Cause::Signalled(9), None, "wait"),
            (Cause::OutOfMemory, None, "wait"),
            (Cause::Interrupted, None, "wait"),
            (Cause::Exited(10), Some(StopReason::Suspended), "wait"),
            (Cause::Exited(14), Some(StopReason::PodsMissing), "wait"),
        ];
        for (cause, stop, wanted) in table {
            let observed = Observed { training: vec![ended(cause, 100, stop)], ..Observed::default() };
            assert_eq!(reason(&decision(&observed, 3, 100)), wanted, "{cause:?}");
        }
    }

    #[test]
    fn only_failures_of_the_jobs_own_count() {
        let training = vec![
            ended(Cause::Exited(143), 1, None),
            ended(Cause::Interrupted, 2, None),
            ended(Cause::Signalled(9), 3, Some(StopReason::Suspended)),
            ended(Cause::Exited(14), 4, Some(StopReason::PodsMissing)),
            ended(Cause::Exited(143), 4, Some(StopReason::NoProgress)),
            TrainingAttempt { in_place_restarts: 2, ..ended(Cause::OutOfMemory, 5, None) },
        ];
        let observed = Observed { training, ..Observed::default() };
        assert_eq!(used(&observed), 4);
        assert_eq!(reason(&decision(&observed, 4, 100)), "start");
        assert_eq!(reason(&decision(&observed, 3, 100)), "RestartsExhausted");
    }

    #[test]
    fn waits_grow_with_counted_failures_only() {
        let mut observed = Observed::default();
        for (failures, wait) in [(1, 2), (2, 4), (3, 8)] {
            observed.training.push(ended(Cause::Exited(1), 100, None));
            assert_eq!(decision(&observed, 9, 100), Decision::WaitUntil(at(100 + wait)), "after {failures}");
        }
        observed.training.push(ended(Cause::Exited(143), 100, None));
        assert_eq!(decision(&observed, 9, 100), Decision::WaitUntil(at(101)));
    }

    #[test]
    fn what_is_missing_is_looked_for_ever_more_rarely_and_uses_nothing_up() {
        let mut observed = Observed::default();
        for wait in [4, 8, 16] {
            observed.training.push(ended(Cause::Exited(16), 100, None));
            let Decision::Await { until, message } = decision(&observed, 0, 100) else { panic!("must wait") };
            assert_eq!(until, at(100 + wait));
            assert!(!message.is_empty());
        }
        assert_eq!((used(&observed), reason(&decision(&observed, 0, 200))), (0, "start"));
    }

    #[test]
    fn another_try_forgives_what_was_before_it() {
        let training = vec![ended(Cause::Exited(1), 50, None), ended(Cause::Exited(10), 100, None)];
        let mut observed = Observed { training, ..Observed::default() };
        assert_eq!(reason(&decision(&observed, 0, 200)), "InvalidInput");
        observed.retried_at = Some(at(200));
        assert_eq!((reason(&decision(&observed, 0, 200)), used(&observed)), ("start", 0));
    }
}
