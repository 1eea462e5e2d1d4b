//! Conditions: computed anew from the situation each time, then merged with the old ones to keep their transition times.

use crate::intent::{Stage, StopReason};
use crate::observed::{Attempt, Observed, Registration};
use crate::plan::Situation;
use crate::validated::ValidatedFineTuneJob;
use temper_crds::condition::{
    COMPLETE, Condition, ConditionStatus, DATA_READY, FAILED, MODEL_REGISTERED, READY, RECONCILING, RUNNING, STALLED, SUSPENDED, reason,
};
use temper_crds::{Time, Timestamp};

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which aspect.
    pub type_: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

fn finding(type_: &'static str, holds: bool, reason: &str, message: impl Into<String>) -> Finding {
    Finding { type_, holds, reason: reason.to_owned(), message: shortened(message.into()) }
}

/// The schema's limit on a message, kept on a character's boundary.
pub(crate) fn shortened(mut message: String) -> String {
    const LONGEST: usize = 4096;
    if message.len() > LONGEST {
        let end = (0..=LONGEST - 3).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
        message.truncate(end);
        message.push_str("...");
    }
    message
}

/// Every condition of a job in a situation.
pub fn of(job: &ValidatedFineTuneJob, observed: &Observed, situation: &Situation) -> Vec<Finding> {
    let obstacle = observed.obstacle.as_ref().filter(|obstacle| match situation {
        Situation::Working { .. } => true,
        // What is in the way of pods is no longer in the way of a job that stops; a request that was refused is.
        Situation::Stopping { .. } | Situation::Registering => obstacle.reason == reason::FORBIDDEN,
        _ => false,
    });
    let (word, sentence) = match obstacle {
        Some(obstacle) => (obstacle.reason.to_owned(), obstacle.message.clone()),
        None => headline(job, situation),
    };
    let complete = *situation == Situation::Complete;
    let failed = matches!(situation, Situation::Failed { .. });
    let suspended = *situation == Situation::Suspended;
    let training = matches!(situation, Situation::Working { stage: Stage::Train, .. } | Situation::Stopping { stage: Stage::Train, .. });
    let running = training && obstacle.is_none() && observed.training.iter().any(|training| training.attempt.is_running());
    let prepared = observed.prepare.iter().find_map(Attempt::report);
    let trained = observed.training.iter().any(|training| training.attempt.report().is_some());

    let data_ready = match prepared {
        Some(report) => {
            let counts = &report.counts;
            let message = format!(
                "{} rows read, {} accepted, {} left out, {} tokens",
                counts.rows,
                counts.accepted,
                counts.rejected_total(),
                counts.tokens
            );
            finding(DATA_READY, true, reason::PREPARED, message)
        }
        None => finding(DATA_READY, false, &word, &*sentence),
    };
    let running = match running {
        true => finding(RUNNING, true, &word, &*sentence),
        false if trained => finding(RUNNING, false, reason::TRAINED, "training is done"),
        false => finding(RUNNING, false, reason::NOT_RUNNING, "no training process runs at the moment"),
    };
    let registered = match (&job.register, &observed.registration) {
        (None, _) => finding(MODEL_REGISTERED, false, reason::NOT_REQUESTED, "the spec has no output.register"),
        (Some(_), Registration::Registered { name, .. }) => {
            finding(MODEL_REGISTERED, true, reason::REGISTERED, format!("registered as {name}"))
        }
        (Some(_), Registration::Refused { message }) => finding(MODEL_REGISTERED, false, reason::REGISTRATION_FAILED, &**message),
        (Some(_), Registration::Pending) => {
            finding(MODEL_REGISTERED, false, reason::PENDING, "the model is registered when it is published")
        }
    };
    let stalled = match (situation, &obstacle) {
        (Situation::Failed { .. }, _) => finding(STALLED, true, &word, &*sentence),
        (Situation::Awaiting { message, .. }, _) => finding(STALLED, true, reason::UNAVAILABLE, &**message),
        (Situation::Oversized { .. }, _) => finding(STALLED, true, &word, &*sentence),
        (_, Some(obstacle)) if obstacle.needs_a_person => finding(STALLED, true, obstacle.reason, &*obstacle.message),
        _ => finding(STALLED, false, reason::NO_FAILURE, "nothing is in the way"),
    };
    vec![
        finding(READY, complete, &word, &*sentence),
        finding(RECONCILING, !(complete || failed || suspended), &word, &*sentence),
        stalled,
        data_ready,
        running,
        finding(
            SUSPENDED,
            suspended,
            if suspended { reason::SUSPENDED } else { &word },
            if suspended { &*sentence } else { "the job is not suspended" },
        ),
        finding(COMPLETE, complete, &word, &*sentence),
        if failed {
            finding(FAILED, true, &word, &*sentence)
        } else {
            finding(FAILED, false, reason::NO_FAILURE, "the job has not failed")
        },
        registered,
    ]
}

/// The one-word state and the sentence that says it.
fn headline(job: &ValidatedFineTuneJob, situation: &Situation) -> (String, String) {
    let (word, sentence): (&str, String) = match situation {
        Situation::Suspended => (reason::SUSPENDED, "spec.suspend is true; set it to false to go on from the last checkpoint".to_owned()),
        Situation::Working { stage: Stage::Prepare, .. } => (reason::PREPARING, "the dataset is being filtered and tokenised".to_owned()),
        Situation::Working { stage: Stage::Train, attempt } => {
            let parallelism = &job.parallelism;
            let size = format!("{} x {} processes", parallelism.num_nodes, parallelism.num_proc_per_node);
            (reason::TRAINING, format!("attempt {attempt} trains on {size}"))
        }
        Situation::Working { stage: Stage::Publish, .. } => (reason::PUBLISHING, "the model is being written and checked".to_owned()),
        Situation::BackingOff { stage, until } => (reason::BACKING_OFF, format!("{stage} failed and starts again at {until:.0}")),
        Situation::Awaiting { stage, until, message } => (reason::UNAVAILABLE, format!("{message}; {stage} looks again at {until:.0}")),
        Situation::Oversized { message } => (reason::INSUFFICIENT_MEMORY, message.clone()),
        Situation::Stopping { stage, attempt, reason: why } => {
            let why = match why {
                StopReason::Suspended => "the job is suspended",
                StopReason::DeadlineExceeded => "activeDeadlineSeconds has passed",
                StopReason::NoProgress => "no step was finished for failurePolicy.stallTimeoutSeconds",
                StopReason::PodsMissing => "some of its pods did not start while the others waited for them",
            };
            (reason::STOPPING, format!("attempt {attempt} of {stage} is being stopped: {why}"))
        }
        Situation::Registering => (reason::REGISTERING, "the model is being entered in the registry".to_owned()),
        Situation::Complete => (reason::COMPLETE, "the model is trained and published".to_owned()),
        Situation::Failed { reason, message } => (reason, message.clone()),
    };
    (word.to_owned(), sentence)
}

/// The findings as conditions; one whose status is the same as before keeps its time. Conditions of other writers stay.
pub fn merged(old: &[Condition], findings: Vec<Finding>, generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let others = old.iter().filter(|condition| findings.iter().all(|finding| finding.type_ != condition.type_)).cloned();
    let others: Vec<Condition> = others.collect();
    let mut conditions: Vec<Condition> = findings
        .into_iter()
        .map(|finding| {
            let status = if finding.holds { ConditionStatus::True } else { ConditionStatus::False };
            let before = old.iter().find(|condition| condition.type_ == finding.type_ && condition.status == status);
            Condition {
                type_: finding.type_.to_owned(),
                status,
                observed_generation: generation,
                last_transition_time: before.map_or(Time(now), |condition| condition.last_transition_time.clone()),
                reason: finding.reason,
                message: finding.message,
            }
        })
        .collect();
    conditions.extend(others);
    conditions
}

#[cfg(test)]
mod tests {
    use super::{finding, merged, shortened};
    use temper_crds::Timestamp;
    use temper_crds::condition::{COMPLETE, Condition, ConditionStatus, READY};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn a_time_changes_only_with_the_status() {
        let first = merged(&[], vec![finding(READY, false, "Pending", "")], Some(1), at(10));
        let second = merged(&first, vec![finding(READY, false, "Training", "")], Some(1), at(20));
        let third = merged(&second, vec![finding(READY, true, "Complete", "")], Some(2), at(30));
        let times: Vec<i64> = [&first, &second, &third].map(|conditions| conditions[0].last_transition_time.0.as_second()).to_vec();
        assert_eq!(times, [10, 10, 30]);
        assert_eq!((second[0].reason.as_str(), third[0].observed_generation), ("Training", Some(2)));
    }

    #[test]
    fn conditions_of_other_writers_stay() {
        let other = Condition {
            type_: "Admitted".to_owned(),
            status: ConditionStatus::True,
            observed_generation: None,
            last_transition_time: temper_crds::Time(at(1)),
            reason: "Quota".to_owned(),
            message: String::new(),
        };
        let conditions = merged(std::slice::from_ref(&other), vec![finding(COMPLETE, true, "Complete", "")], None, at(2));
        assert_eq!(conditions.len(), 2);
        assert_eq!(conditions[1], other);
    }

    #[test]
    fn a_long_message_fits_the_schema() {
        let short = shortened("\u{20ac}".repeat(3000));
        assert!(short.len() <= 4096 && short.ends_with("..."));
    }
}
