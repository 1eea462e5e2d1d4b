//! The status of a job whose spec is refused: nothing is started, and every problem is told.

use crate::conditions::{Finding, merged, shortened};
use crate::problem::Problem;
use crate::status::finished;
use temper_crds::condition::{READY, RECONCILING, STALLED, reason};
use temper_crds::{FineTuneJobStatus, Timestamp};

/// The status to write. A job that is finished already stays as it is: what it made does not go away.
pub fn refused(status: &FineTuneJobStatus, problems: &[Problem], generation: Option<i64>, now: Timestamp) -> FineTuneJobStatus {
    let mut status = status.clone();
    status.observed_generation = generation.or(status.observed_generation);
    if finished(&status).is_some() {
        return status;
    }
    let sentences: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let finding =
        |type_, holds| Finding { type_, holds, reason: reason::INVALID_SPEC.to_owned(), message: shortened(sentences.join("\n")) };
    let findings = vec![finding(READY, false), finding(RECONCILING, false), finding(STALLED, true)];
    status.conditions = merged(&status.conditions, findings, generation, now);
    status
}

#[cfg(test)]
mod tests {
    use super::refused;
    use crate::problem::Problem;
    use temper_crds::condition::ConditionStatus;
    use temper_crds::{FineTuneJobStatus, Timestamp};

    #[test]
    fn every_problem_is_told_and_the_time_is_kept() {
        let problems = [Problem::new("spec.a", 1, "is wrong", "mend it"), Problem::new("spec.b", 2, "is wrong too", "")];
        let at = |second| Timestamp::from_second(second).expect("a time");
        let first = refused(&FineTuneJobStatus::default(), &problems, Some(3), at(10));
        let again = refused(&first, &problems, Some(3), at(20));
        assert_eq!(first, again);
        let stalled = first.conditions.iter().find(|condition| condition.type_ == "Stalled").expect("there");
        assert_eq!((stalled.status, stalled.observed_generation), (ConditionStatus::True, Some(3)));
        assert!(stalled.message.contains("spec.a: 1: is wrong; mend it") && stalled.message.contains("spec.b"), "{}", stalled.message);
    }
}
