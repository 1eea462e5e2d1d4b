//! The decision: what a job's state is, and what is to be done next.
//!
//! 1. A job that is finished stays finished (unless a person asked for another try).
//! 2. Its stage is the first of prepare, train, publish, register that is not done.
//! 3. A deadline that has passed or a suspension stops what runs; nothing new starts.
//! 4. An attempt that runs goes on, or is stopped when it stalls.
//! 5. Where none runs, the restart policy says: start, wait or fail.

use crate::deadline_policy::deadline;
use crate::intent::{Intent, Stage, StopReason};
use crate::memory_policy;
use crate::observed::{Attempt, Observed, Registration};
use crate::restart_policy::{self, Decision};
use crate::stall_policy::stalled_at;
use crate::status;
use crate::ttl_policy;
use crate::validated::ValidatedFineTuneJob;
use temper_crds::condition::{COMPLETE, reason};
use temper_crds::{FineTuneJobStatus, Timestamp};

/// What is to be done, and what is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What is to be done, in this order; empty while nothing is.
    pub intents: Vec<Intent>,
    /// The status to write (only if it differs from the one observed).
    pub status: FineTuneJobStatus,
    /// When to plan again even if nothing is observed to change.
    pub wake_at: Option<Timestamp>,
    /// What the job's state is.
    pub situation: Situation,
}

impl Plan {
    /// How the job ended; `None` while it goes on.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.situation {
            Situation::Complete => Some(Outcome::Complete),
            Situation::Failed { .. } => Some(Outcome::Failed),
            _ => None,
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is done.
    Complete,
    /// It failed for good.
    Failed,
}

/// What a job's state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Situation {
    /// Held by `spec.suspend`; nothing runs.
    Suspended,
    /// An attempt of a stage runs or is to be started.
    Working {
        /// The stage.
        stage: Stage,
        /// The attempt's number, from 0.
        attempt: u64,
    },
    /// A failure is waited out.
    BackingOff {
        /// The stage that failed.
        stage: Stage,
        /// When the next attempt starts.
        until: Timestamp,
    },
    /// Something that the spec names is missing; it is looked for again.
    Awaiting {
        /// The stage that found it missing.
        stage: Stage,
        /// When the next attempt starts.
        until: Timestamp,
        /// What is missing and what to do, in a sentence.
        message: String,
    },
    /// It was resized to what surely does not fit, and waits to be resized again.
    Oversized {
        /// Why, and what to do, in a sentence.
        message: String,
    },
    /// An attempt is being stopped.
    Stopping {
        /// The stage.
        stage: Stage,
        /// The attempt's number, from 0.
        attempt: u64,
        /// Why.
        reason: StopReason,
    },
    /// The model is being entered in the registry.
    Registering,
    /// Everything is done.
    Complete,
    /// It failed for good.
    Failed {
        /// In one word.
        reason: String,
        /// In a sentence, with what to do next.
        message: String,
    },
}

/// Decides what is to be done next. The same input gives the same plan.
pub fn plan(job: &ValidatedFineTuneJob, observed: &Observed, now: Timestamp) -> Plan {
    let mut wake_at = WakeAt(None);
    let situation = situation(job, observed, now, &mut wake_at);
    let mut intents: Vec<Intent> = intent(job, observed, &situation).into_iter().collect();
    let status = status::status(job, observed, &situation, now);
    if let Some(finished_at) = status::finished(&status).map(|condition| condition.last_transition_time.0) {
        match ttl_policy::decide(finished_at, job.ttl_seconds_after_finished, observed.freed, now) {
            ttl_policy::Decision::Keep => {}
            ttl_policy::Decision::Free if status::finished(&observed.status).is_some() => intents.push(Intent::FreeFinished),
            // Told first, then done: of an end that is not written, what it is known by must not go.
            ttl_policy::Decision::Free => wake_at.no_later_than(now),
            ttl_policy::Decision::WaitUntil(due) => wake_at.no_later_than(due),
        }
    }
    Plan { intents, status, wake_at: wake_at.0, situation }
}

struct WakeAt(Option<Timestamp>);

impl WakeAt {
    fn no_later_than(&mut self, time: Timestamp) {
        self.0 = Some(self.0.map_or(time, |earlier| earlier.min(time)));
    }
}

fn situation(job: &ValidatedFineTuneJob, observed: &Observed, now: Timestamp, wake_at: &mut WakeAt) -> Situation {
    if let Some(finished) = already_finished(observed) {
        return finished;
    }
    if observed.prepare.iter().all(|attempt| attempt.report().is_none()) {
        return staged(Stage::Prepare, &observed.prepare.iter().collect::<Vec<_>>(), job, observed, now, wake_at);
    }
    if observed.training.iter().all(|training| training.attempt.report().is_none()) {
        if let Some(estimate) = observed.prepare.iter().find_map(Attempt::report).map(|report| report.memory_estimate_bytes)
            && let Some(oversized) = oversized(job, observed, estimate)
        {
            return oversized;
        }
        let attempts: Vec<_> = observed.training.iter().map(|training| &training.attempt).collect();
        return staged(Stage::Train, &attempts, job, observed, now, wake_at);
    }
    if observed.publish.iter().all(|attempt| attempt.report().is_none()) {
        return staged(Stage::Publish, &observed.publish.iter().collect::<Vec<_>>(), job, observed, now, wake_at);
    }
    match (&job.register, &observed.registration) {
        (None, _) | (_, Registration::Registered { .. }) => Situation::Complete,
        (_, Registration::Refused { message }) => {
            Situation::Failed { reason: reason::REGISTRATION_FAILED.to_owned(), message: message.clone() }
        }
        (_, Registration::Pending) if job.suspend => Situation::Suspended,
        (_, Registration::Pending) => Situation::Registering,
    }
}

/// The situation of a job whose training surely does not fit its memory, and has not begun on it.
fn oversized(job: &ValidatedFineTuneJob, observed: &Observed, estimate: u64) -> Option<Situation> {
    if observed.training.is_empty() {
        let message = memory_policy::excess(job, estimate, observed.device_memory)?;
        return Some(Situation::Failed { reason: reason::INSUFFICIENT_MEMORY.to_owned(), message });
    }
    if job.suspend || observed.training.iter().any(|training| training.attempt.is_running()) {
        return None;
    }
    memory_policy::excess_of_resize(job, estimate, observed.device_memory).map(|message| Situation::Oversized { message })
}

/// The end that an earlier plan found; the facts that it came from may have been freed since. A person may ask for another try of a job
/// that failed, not of one that is complete.
fn already_finished(observed: &Observed) -> Option<Situation> {
    let condition = status::finished(&observed.status)?;
    if condition.type_ == COMPLETE {
        return Some(Situation::Complete);
    }
    let again = observed.retried_at.is_some_and(|retried_at| condition.last_transition_time.0 <= retried_at);
    (!again).then(|| Situation::Failed { reason: condition.reason.clone(), message: condition.message.clone() })
}

/// The situation of a job whose stage is not done.
fn staged<Report>(
    stage: Stage,
    attempts: &[&Attempt<Report>],
    job: &ValidatedFineTuneJob,
    observed: &Observed,
    now: Timestamp,
    wake_at: &mut WakeAt,
) -> Situation {
    let next = attempts.len() as u64;
    let running = attempts.iter().rposition(|attempt| attempt.is_running());
    let deadline = deadline(observed.active_since, job.active_deadline_seconds).filter(|_| !job.suspend);
    let too_late = deadline.is_some_and(|deadline| deadline <= now);
    if let Some(deadline) = deadline.filter(|_| !too_late) {
        wake_at.no_later_than(deadline);
    }
    let Some(index) = running else {
        if too_late {
            let seconds = job.active_deadline_seconds.unwrap_or_default();
            let message = format!("activeDeadlineSeconds ({seconds}) has passed; create the job anew with a later deadline");
            return Situation::Failed { reason: reason::DEADLINE_EXCEEDED.to_owned(), message };
        }
        if job.suspend {
            return Situation::Suspended;
        }
        return match restart_policy::decide(attempts, observed, job.max_restarts, now) {
            Decision::Start => Situation::Working { stage, attempt: next },
            Decision::WaitUntil(until) => {
                wake_at.no_later_than(until);
                Situation::BackingOff { stage, until }
            }
            Decision::Await { until, message } => {
                wake_at.no_later_than(until);
                Situation::Awaiting { stage, until, message }
            }
            Decision::Fail { reason, message } => Situation::Failed { reason: reason.to_owned(), message },
        };
    };
    let attempt = index as u64;
    let stalled_at = match stage {
        Stage::Train => observed.training.get(index).and_then(|training| stalled_at(training, job.stall_timeout_seconds)),
        Stage::Prepare | Stage::Publish => None,
    };
    // What an attempt was first told to stop for stays the reason, so that its end is judged by it.
    let stop = attempts[index].stop.or(match stalled_at {
        _ if too_late => Some(StopReason::DeadlineExceeded),
        _ if job.suspend => Some(StopReason::Suspended),
        Some(at) if at <= now => Some(StopReason::NoProgress),
        _ if stage == Stage::Train && observed.pods_missing => Some(StopReason::PodsMissing),
        _ => None,
    });
    match stop {
        Some(reason) => Situation::Stopping { stage, attempt, reason },
        None => {
            if let Some(at) = stalled_at {
                wake_at.no_later_than(at);
            }
            Situation::Working { stage, attempt }
        }
    }
}

/// What the situation asks for.
fn intent(job: &ValidatedFineTuneJob, observed: &Observed, situation: &Situation) -> Option<Intent> {
    match situation {
        Situation::Working { stage: Stage::Prepare, attempt } => Some(Intent::EnsurePrepare { attempt: *attempt }),
        Situation::Working { stage: Stage::Train, attempt } => {
            let own = usize::try_from(*attempt)
                .ok()
                .and_then(|index| observed.training.get(index))
                .map_or(0, |training| training.in_place_restarts);
            Some(Intent::EnsureTrainers {
                attempt: *attempt,
                num_nodes: job.parallelism.num_nodes,
                num_proc_per_node: job.parallelism.num_proc_per_node,
                resume: observed.checkpoint.clone(),
                restarts_left: job.max_restarts.saturating_sub(restart_policy::used(observed).saturating_sub(own)),
            })
        }
        Situation::Working { stage: Stage::Publish, attempt } => Some(Intent::EnsurePublish { attempt: *attempt }),
        Situation::Stopping { stage, attempt, reason } => Some(Intent::Stop { stage: *stage, attempt: *attempt, reason: *reason }),
        Situation::Registering => {
            let register = job.register.as_ref()?;
            let report = observed.publish.iter().find_map(Attempt::report)?;
            Some(Intent::Register {
                model_name: register.model_name.clone(),
                stage: register.stage,
                path: report.path.clone(),
                digest: report.digest.clone(),
            })
        }
        Situation::Suspended
        | Situation::BackingOff { .. }
        | Situation::Awaiting { .. }
        | Situation::Oversized { .. }
        | Situation::Complete
        | Situation::Failed { .. } => None,
    }
}
