//! The events that tell a job's story: what changed between two statuses, in sentences. Decides only.

use kube::runtime::events::EventType;
use temper_crds::FineTuneJobStatus;
use temper_crds::condition::{COMPLETE, Condition, ConditionStatus, FAILED, MODEL_REGISTERED, READY, STALLED, reason};
use temper_crds::finetunejob::attempts::AttemptEnd;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// Whether somebody should look.
    pub warning: bool,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub note: String,
}

impl Chapter {
    /// The event's type as Kubernetes has it.
    pub fn type_(&self) -> EventType {
        if self.warning { EventType::Warning } else { EventType::Normal }
    }
}

/// Kubernetes refuses a longer note.
const LONGEST_NOTE: usize = 1024;

/// What is to be told after a status was written, in order.
pub fn chapters(before: &FineTuneJobStatus, after: &FineTuneJobStatus) -> Vec<Chapter> {
    let mut told = Vec::new();
    for attempt in &after.attempts {
        let known = before.attempts.iter().any(|old| (old.stage, old.number) == (attempt.stage, attempt.number) && old.end.is_some());
        if known || !attempt.end.is_some_and(|end| end != AttemptEnd::Succeeded) || attempt.stop.is_some() {
            continue;
        }
        let how = match (attempt.end, attempt.exit_code) {
            (Some(AttemptEnd::OutOfMemory), _) => "used more memory than it may".to_owned(),
            (Some(AttemptEnd::Interrupted), _) => {
                "was interrupted: its pod was preempted, evicted or deleted, or its machine was lost".to_owned()
            }
            (_, Some(143)) => "was asked to end and wrote a checkpoint".to_owned(),
            (_, Some(code)) => format!("ended with exit code {code}"),
            _ => "ended".to_owned(),
        };
        let pod = attempt.pod.as_deref().map(|pod| format!(" (pod {pod})")).unwrap_or_default();
        let said = attempt.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        let stage = match attempt.stage {
            temper_crds::finetunejob::attempts::StageName::Prepare => "prepare",
            temper_crds::finetunejob::attempts::StageName::Train => "train",
            temper_crds::finetunejob::attempts::StageName::Publish => "publish",
        };
        let failure = attempt.end != Some(AttemptEnd::Interrupted) && attempt.exit_code != Some(143);
        told.push(chapter(failure, "AttemptEnded", format!("attempt {} of {stage} {how}{pod}{said}", attempt.number)));
    }
    if after.restarts > before.restarts && in_place(after) > in_place(before) {
        told.push(chapter(true, "RestartedInPlace", format!("the ranks were restarted in place; {} restarts so far", after.restarts)));
    }
    if let Some(ready) = changed(before, after, READY).or_else(|| find(after, READY).filter(|_| begins_again(before, after))) {
        // Of all that may be in the way of a job this alone does not stall it: room may come by itself. A queue is in nobody's way.
        let bad = holds(after, FAILED) || holds(after, STALLED) || ready.reason == reason::UNSCHEDULABLE;
        told.push(chapter(bad, &ready.reason, ready.message.clone()));
    }
    if holds(after, MODEL_REGISTERED)
        && !holds(before, MODEL_REGISTERED)
        && let Some(name) = after.model_version.as_ref().and_then(|model| model.name.as_deref())
    {
        told.push(chapter(false, "Registered", format!("the model is registered as {name}")));
    }
    debug_assert!(!(holds(after, COMPLETE) && holds(after, FAILED)));
    told
}

fn chapter(warning: bool, reason: &str, mut note: String) -> Chapter {
    let end = (0..=LONGEST_NOTE.min(note.len())).rev().find(|&at| note.is_char_boundary(at)).unwrap_or(0);
    note.truncate(end);
    Chapter { warning, reason: reason.to_owned(), note }
}

fn in_place(status: &FineTuneJobStatus) -> u64 {
    let earlier = status.earlier_attempts.map_or(0, |earlier| earlier.in_place_restarts);
    earlier + status.attempts.iter().map(|attempt| attempt.in_place_restarts).sum::<u64>()
}

fn find<'a>(status: &'a FineTuneJobStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

fn holds(status: &FineTuneJobStatus, type_: &str) -> bool {
    find(status, type_).is_some_and(|condition| condition.status == ConditionStatus::True)
}

/// Whether a stage that ended has begun anew without a wait in between.
fn begins_again(before: &FineTuneJobStatus, after: &FineTuneJobStatus) -> bool {
    let is_known = |stage, number| before.attempts.iter().any(|old| (old.stage, old.number) == (stage, number));
    after.attempts.iter().any(|attempt| attempt.number > 0 && attempt.end.is_none() && !is_known(attempt.stage, attempt.number))
}

/// The condition, if its reason is another than before.
fn changed<'a>(before: &FineTuneJobStatus, after: &'a FineTuneJobStatus, type_: &str) -> Option<&'a Condition> {
    let condition = find(after, type_)?;
    (find(before, type_).map(|old| &old.reason) != Some(&condition.reason)).then_some(condition)
}

#[cfg(test)]
mod tests {
    use super::chapters;
    use temper_crds::condition::{Condition, ConditionStatus, READY, STALLED};
    use temper_crds::finetunejob::attempts::{AttemptEnd, AttemptStatus, StageName};
    use temper_crds::{FineTuneJobStatus, Time, Timestamp};

    fn condition(type_: &str, holds: bool, reason: &str) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status: if holds { ConditionStatus::True } else { ConditionStatus::False },
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            reason: reason.to_owned(),
            message: format!("it is {reason}"),
        }
    }

    fn status(reason: &str) -> FineTuneJobStatus {
        FineTuneJobStatus { conditions: vec![condition(READY, false, reason)], ..FineTuneJobStatus::default() }
    }

    fn ended(exit_code: i32) -> AttemptStatus {
        AttemptStatus {
            stage: StageName::Train,
            number: 0,
            started_at: Time(Timestamp::UNIX_EPOCH),
            finished_at: None,
            stop: None,
            end: Some(AttemptEnd::Exited),
            exit_code: Some(exit_code),
            pod: Some("tiny-a0-0-x".to_owned()),
            rank: Some(1),
            message: Some("a rank died".to_owned()),
            in_place_restarts: 0,
        }
    }

    #[test]
    fn a_new_state_is_told_once() {
        let told = chapters(&status("Preparing"), &status("Training"));
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].reason.as_str(), told[0].note.as_str(), told[0].warning), ("Training", "it is Training", false));
        assert_eq!(chapters(&status("Training"), &status("Training")), []);
    }

    #[test]
    fn an_attempt_that_follows_at_once_is_told_though_the_state_is_the_same() {
        let (mut before, mut after) = (status("Training"), status("Training"));
        before.attempts.push(AttemptStatus { end: None, exit_code: None, ..ended(0) });
        after.attempts.push(AttemptStatus { end: Some(AttemptEnd::Interrupted), ..ended(143) });
        after.attempts.push(AttemptStatus { number: 1, end: None, exit_code: None, ..ended(0) });
        let told = chapters(&before, &after);
        assert_eq!(told.iter().map(|chapter| chapter.reason.as_str()).collect::<Vec<_>>(), ["AttemptEnded", "Training"]);
        assert_eq!(chapters(&after, &after), []);
    }

    #[test]
    fn a_failure_is_told_with_its_pod_and_words_before_what_follows() {
        let mut after = status("BackingOff");
        after.attempts.push(ended(1));
        let told = chapters(&status("Training"), &after);
        assert_eq!(told.iter().map(|chapter| chapter.reason.as_str()).collect::<Vec<_>>(), ["AttemptEnded", "BackingOff"]);
        assert_eq!(told[0].note, "attempt 0 of train ended with exit code 1 (pod tiny-a0-0-x): a rank died");
        assert!(told[0].warning);
        assert_eq!(chapters(&after, &after), []);
    }

    #[test]
    fn what_is_in_the_way_is_a_warning() {
        let mut after = status("VolumeUnavailable");
        after.conditions.push(condition(STALLED, true, "VolumeUnavailable"));
        assert!(chapters(&status("Preparing"), &after)[0].warning);
        assert!(chapters(&status("Training"), &status("Unschedulable"))[0].warning, "room may come by itself, or not");
        assert!(!chapters(&status("Preparing"), &status("Queued"))[0].warning, "it is what a queue is for");
    }
}
