//! The ledger, what the caches show and what the trainers said become the planner's `Observed`. Decides only; `reconcile` gathers.

use super::attempt::{Fate, SeenAttempt};
use super::obstacle;
use super::scrape::Scraped;
use temper_contract::layout;
use temper_contract::termination::StageReport;
use temper_crds::condition::{ConditionStatus, SUSPENDED};
use temper_crds::{FineTuneJob, FineTuneJobStatus, Timestamp};
use temper_planner::ledger::{self, Remembered};
use temper_planner::observed::State;
use temper_planner::{Attempt, Cause, CheckpointReference, End, Observed, Obstacle, Registration, Stage, TrainingAttempt};

/// Finds a stage's try by its number.
pub type Find<'a> = &'a (dyn Fn(Stage, u64) -> Option<SeenAttempt> + Sync);

/// What was gathered about a job.
pub struct Seen<'a> {
    /// A stage's try with this number, if its Job is there.
    pub find: Find<'a>,
    /// What the trainers of the running attempt last said.
    pub scraped: Option<&'a Scraped>,
    /// What became of the registration.
    pub registration: Registration,
    /// What the Job controller last said about pods that it could not make.
    pub refusal: Option<&'a str>,
    /// Whether nothing is left of what the job held.
    pub freed: bool,
    /// The memory of one accelerator of the kind asked for.
    pub device_memory: Option<u64>,
    /// The URI of a checkpoint.
    pub checkpoint_uri: &'a (dyn Fn(u64, u64) -> String + Sync),
    /// The URI of the published model.
    pub model_uri: &'a str,
}

/// What is known of a job. A try that the ledger calls running and whose Job is not there counts as interrupted: `doubts` says first
/// whether there is one, so that the caller can make sure.
pub fn observed(job: &FineTuneJob, seen: &Seen<'_>, now: Timestamp) -> Observed {
    let status = job.status.clone().unwrap_or_default();
    let mut remembered = ledger::remembered(&status);
    bring_up_to_date(&mut remembered.prepare, Stage::Prepare, seen, now, prepared);
    bring_training_up_to_date(&mut remembered, seen, now);
    bring_up_to_date(&mut remembered.publish, Stage::Publish, seen, now, |report| published(report, seen.model_uri));
    let running = running(&remembered).and_then(|(stage, number)| (seen.find)(stage, number));
    let obstacle = running.as_ref().and_then(|running| obstacle::obstacle(running, seen.refusal, now));
    let pods_missing = running.as_ref().is_some_and(SeenAttempt::lacks_pods);
    let running = remembered.training.last().filter(|training| training.attempt.is_running());
    let attempt = remembered.training.len().saturating_sub(1) as u64;
    let scraped = seen.scraped.filter(|scraped| running.is_some() && scraped.attempt == attempt);
    Observed {
        active_since: active_since(job, &status),
        retried_at: None,
        checkpoint: scraped
            .and_then(|scraped| scraped.checkpoint_step.map(|step| checkpoint(seen, scraped.checkpoint_attempt, step)))
            .or_else(|| last_checkpoint(&remembered, seen))
            .or_else(|| {
                status.checkpoint.as_ref().map(|checkpoint| CheckpointReference {
                    attempt,
                    step: checkpoint.step,
                    uri: checkpoint.uri.clone(),
                })
            }),
        progress: scraped.map(|scraped| scraped.progress.clone()),
        device_memory: seen.device_memory,
        obstacle,
        pods_missing,
        freed: seen.freed,
        registration: seen.registration.clone(),
        prepare: remembered.prepare,
        training: remembered.training,
        publish: remembered.publish,
        status,
    }
}

/// What the ledger says, with what waits in the way of the try that it calls running, of which nothing new is known.
pub fn waiting(job: &FineTuneJob, obstacle: Obstacle) -> Observed {
    let status = job.status.clone().unwrap_or_default();
    let Remembered { prepare, training, publish } = ledger::remembered(&status);
    let obstacle = Some(obstacle);
    Observed { active_since: active_since(job, &status), obstacle, prepare, training, publish, status, ..Observed::default() }
}

/// The try that the ledger calls running and whose Job is not to be seen, if there is one.
pub fn doubt(status: &FineTuneJobStatus, find: Find<'_>) -> Option<(Stage, u64)> {
    running(&ledger::remembered(status)).filter(|(stage, number)| find(*stage, *number).is_none())
}

/// The try that runs: there is one at most.
fn running(remembered: &Remembered) -> Option<(Stage, u64)> {
    let last = |count: usize, runs: bool| runs.then(|| count as u64 - 1);
    let prepare = last(remembered.prepare.len(), remembered.prepare.last().is_some_and(Attempt::is_running));
    let train = last(remembered.training.len(), remembered.training.last().is_some_and(|training| training.attempt.is_running()));
    let publish = last(remembered.publish.len(), remembered.publish.last().is_some_and(Attempt::is_running));
    let all = [(Stage::Prepare, prepare), (Stage::Train, train), (Stage::Publish, publish)];
    all.into_iter().find_map(|(stage, number)| Some((stage, number?)))
}

fn checkpoint(seen: &Seen<'_>, attempt: u64, step: u64) -> CheckpointReference {
    CheckpointReference { attempt, step, uri: (seen.checkpoint_uri)(attempt, step) }
}

/// The checkpoint that training ended with. The last scrape was some steps before it.
fn last_checkpoint(remembered: &Remembered, seen: &Seen<'_>) -> Option<CheckpointReference> {
    let report = remembered.training.last()?.attempt.report()?;
    let (attempt, step) = layout::checkpoint_of(&report.checkpoint)?;
    Some(checkpoint(seen, attempt, step))
}

/// When the job was last resumed, or else made.
fn active_since(job: &FineTuneJob, status: &FineTuneJobStatus) -> Option<Timestamp> {
    let resumed = status.conditions.iter().find(|condition| condition.type_ == SUSPENDED && condition.status == ConditionStatus::False);
    let created = job.metadata.creation_timestamp.as_ref().map(|time| time.0);
    resumed.map(|condition| condition.last_transition_time.0).max(created).filter(|_| !job.spec.suspend).or(created)
}

fn prepared(report: StageReport) -> Option<temper_contract::report::PrepareReport> {
    match report {
        StageReport::Prepared(report) => Some(report),
        _ => None,
    }
}

fn trained(report: StageReport) -> Option<temper_contract::report::TrainReport> {
    match report {
        StageReport::Trained(report) => Some(report),
        _ => None,
    }
}

/// The report with the place that others know the model by, instead of a path in a pod.
fn published(report: StageReport, uri: &str) -> Option<temper_contract::report::PublishReport> {
    match report {
        StageReport::Published(report) => Some(temper_contract::report::PublishReport { path: uri.to_owned(), ..report }),
        _ => None,
    }
}

/// Adds what the caches show to what the ledger says of a stage's tries. Gives the Jobs that were looked at, with the numbers of their tries.
fn bring_up_to_date<Report>(
    attempts: &mut Vec<Attempt<Report>>,
    stage: Stage,
    seen: &Seen<'_>,
    now: Timestamp,
    right: impl Fn(StageReport) -> Option<Report>,
) -> Vec<(usize, SeenAttempt)> {
    let mut looked_at = Vec::new();
    loop {
        let count = attempts.len();
        if let Some(last) = attempts.last_mut().filter(|last| last.is_running()) {
            match (seen.find)(stage, count as u64 - 1) {
                Some(found) => {
                    last.state = state(found.fate(now), &right);
                    looked_at.push((count - 1, found));
                    if last.is_running() {
                        return looked_at;
                    }
                }
                None => last.state = State::Failed { end: End::of(Cause::Interrupted), at: now },
            }
        }
        // A Job that was made just before its maker died, or whose making is not in the status yet.
        let Some(next) = (seen.find)(stage, count as u64) else { return looked_at };
        let made = next.job.metadata.created.unwrap_or(now);
        attempts.push(Attempt::started(made));
    }
}

fn state<Report>(fate: Fate, right: impl Fn(StageReport) -> Option<Report>) -> State<Report> {
    match fate {
        Fate::Running => State::Running,
        Fate::Done { report, at } => match right(*report) {
            Some(report) => State::Succeeded { report, at },
            None => State::Failed { end: End::of(Cause::Exited(0)), at },
        },
        Fate::Ended { end, at } => State::Failed { end, at },
    }
}

fn bring_training_up_to_date(remembered: &mut Remembered, seen: &Seen<'_>, now: Timestamp) {
    let mut attempts: Vec<Attempt<_>> = remembered.training.iter().map(|training| training.attempt.clone()).collect();
    let looked_at = bring_up_to_date(&mut attempts, Stage::Train, seen, now, trained);
    for (index, attempt) in attempts.into_iter().enumerate() {
        match remembered.training.get_mut(index) {
            Some(known) => known.attempt = attempt,
            None => remembered.training.push(TrainingAttempt { attempt, last_progress: None, in_place_restarts: 0 }),
        }
    }
    let last = remembered.training.len().saturating_sub(1);
    let scraped = |index: usize| seen.scraped.filter(|scraped| scraped.attempt == index as u64);
    let mut before = 0;
    for (index, training) in remembered.training.iter_mut().enumerate() {
        let said = looked_at.iter().find(|(number, _)| *number == index).and_then(|(_, found)| found.in_place_restarts());
        // The trainer counts over all attempts.
        if let Some(total) = said.or_else(|| scraped(index).map(|scraped| scraped.in_place_restarts)) {
            training.in_place_restarts = training.in_place_restarts.max(total.saturating_sub(before));
        }
        before += training.in_place_restarts;
    }
    if let Some(training) = remembered.training.last_mut().filter(|training| training.attempt.is_running()) {
        training.last_progress = scraped(last).map(|scraped| scraped.last_progress);
    }
}

#[cfg(test)]
mod tests;
