//! What the status remembers of a job's tries is what decisions need.

use proptest::prelude::*;
use temper_crds::finetunejob::attempts::LISTED;
use temper_crds::{FineTuneJobStatus, Timestamp};
use temper_planner::ledger::{record, remembered};
use temper_planner::observed::State;
use temper_planner::restart_policy::used;
use temper_planner::{Attempt, Cause, End, Observed, StopReason, TrainingAttempt};

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        prop::sample::select(vec![1, 10, 12, 13, 16, 137, 143]).prop_map(Cause::Exited),
        Just(Cause::OutOfMemory),
        Just(Cause::Interrupted),
    ]
}

fn attempt<Report: std::fmt::Debug + Clone + 'static>() -> impl Strategy<Value = Attempt<Report>> {
    let stop =
        prop::option::weighted(0.2, prop::sample::select(vec![StopReason::Suspended, StopReason::NoProgress, StopReason::PodsMissing]));
    (cause(), 0..1_000_000i64, stop).prop_map(|(cause, second, stop)| {
        let at = Timestamp::from_second(second).expect("a time");
        Attempt { started_at: at, state: State::Failed { end: End::of(cause), at }, stop }
    })
}

fn training() -> impl Strategy<Value = TrainingAttempt> {
    (attempt(), 0..4u64).prop_map(|(attempt, in_place_restarts)| TrainingAttempt { attempt, last_progress: None, in_place_restarts })
}

fn observed() -> impl Strategy<Value = Observed> {
    let tries =
        (prop::collection::vec(attempt(), 0..40), prop::collection::vec(training(), 0..60), prop::collection::vec(attempt(), 0..40));
    tries.prop_map(|(prepare, training, publish)| Observed { prepare, training, publish, ..Observed::default() })
}

proptest! {
    #[test]
    fn counts_survive_however_many_tries_there_are(observed in observed()) {
        let (attempts, earlier_attempts) = record(&observed);
        prop_assert!(attempts.len() <= LISTED);
        let status = FineTuneJobStatus { attempts, earlier_attempts, ..FineTuneJobStatus::default() };
        let back = remembered(&status);
        prop_assert_eq!(
            (back.prepare.len(), back.training.len(), back.publish.len()),
            (observed.prepare.len(), observed.training.len(), observed.publish.len())
        );
        let again = Observed { prepare: back.prepare, training: back.training, publish: back.publish, ..Observed::default() };
        prop_assert_eq!(used(&again), used(&observed));
        // Written again it is the same, or the status would never come to rest.
        let (listed, earlier) = record(&again);
        prop_assert_eq!((listed, earlier), (status.attempts, status.earlier_attempts));
    }

    #[test]
    fn the_latest_tries_are_remembered_one_by_one(observed in observed()) {
        let (attempts, earlier_attempts) = record(&observed);
        let back = remembered(&FineTuneJobStatus { attempts, earlier_attempts, ..FineTuneJobStatus::default() });
        for (known, was) in back.publish.iter().rev().zip(observed.publish.iter().rev()).take(LISTED) {
            prop_assert_eq!(known, was);
        }
    }
}
