//! The ledger of a job's tries: what an executor saw of them, written into the status, and read back when the pods and Jobs that it was
//! seen in are gone.

use crate::end::{Cause, End, Meaning};
use crate::intent::{Stage, StopReason};
use crate::observed::{Attempt, Observed, State, TrainingAttempt};
use crate::restart_policy::meaning;
use temper_contract::report::ArtifactFormat;
use temper_contract::report::{BeforeAfter, DatasetCounts, Parameters, PrepareReport, PublishReport, Rejection, TrainReport};
use temper_contract::{ExitCode, TerminationMessage};
use temper_crds::finetunejob::attempts::{AttemptEnd, AttemptStatus, EarlierAttempts, LISTED, LONGEST_MESSAGE, StageName, StopCause};
use temper_crds::modelversion::ModelFormat;
use temper_crds::{Decimal, FineTuneJobStatus, Time, Timestamp};

/// The tries that a status remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// Tries to prepare, in order.
    pub prepare: Vec<Attempt<PrepareReport>>,
    /// Attempts to train, in order.
    pub training: Vec<TrainingAttempt>,
    /// Tries to publish, in order.
    pub publish: Vec<Attempt<PublishReport>>,
}

/// The tries that were seen, as the status lists them: the latest ones by their starts, the others counted.
pub fn record(observed: &Observed) -> (Vec<AttemptStatus>, Option<EarlierAttempts>) {
    let prepare = observed.prepare.iter().enumerate().map(|(number, attempt)| entry(StageName::Prepare, number, attempt, 0));
    let train = observed
        .training
        .iter()
        .enumerate()
        .map(|(number, training)| entry(StageName::Train, number, &training.attempt, training.in_place_restarts));
    let publish = observed.publish.iter().enumerate().map(|(number, attempt)| entry(StageName::Publish, number, attempt, 0));
    let mut entries: Vec<(AttemptStatus, bool)> = prepare.chain(train).chain(publish).collect();
    // Stages follow one another, so a stable sort by stage is one by time, and times of equal seconds need no rule of their own.
    let listed = entries.split_off(entries.len().saturating_sub(LISTED));
    let earlier = entries.iter().fold(EarlierAttempts::default(), |mut sum, (entry, counts)| {
        match entry.stage {
            StageName::Prepare => sum.prepare += 1,
            StageName::Train => sum.train += 1,
            StageName::Publish => sum.publish += 1,
        }
        sum.failures += u64::from(*counts);
        sum.in_place_restarts += entry.in_place_restarts;
        sum
    });
    (listed.into_iter().map(|(entry, _)| entry).collect(), Some(earlier).filter(|earlier| *earlier != EarlierAttempts::default()))
}

/// The tries that a status lists. Of tries that are only counted, the first ones stand for the failures; they lie at the beginning of time.
pub fn remembered(status: &FineTuneJobStatus) -> Remembered {
    let earlier = status.earlier_attempts.unwrap_or_default();
    let mut failures = earlier.failures;
    let mut remembered = Remembered {
        prepare: (0..earlier.prepare).map(|_| forgotten(&mut failures)).collect(),
        training: (0..earlier.train)
            .map(|number| TrainingAttempt {
                attempt: forgotten(&mut failures),
                last_progress: None,
                in_place_restarts: if number == 0 { earlier.in_place_restarts } else { 0 },
            })
            .collect(),
        publish: (0..earlier.publish).map(|_| forgotten(&mut failures)).collect(),
    };
    for entry in &status.attempts {
        match entry.stage {
            StageName::Prepare => remembered.prepare.push(attempt(entry, prepare_report(status))),
            StageName::Train => remembered.training.push(TrainingAttempt {
                attempt: attempt(entry, train_report(status)),
                last_progress: None,
                in_place_restarts: entry.in_place_restarts,
            }),
            StageName::Publish => remembered.publish.push(attempt(entry, publish_report(status))),
        }
    }
    remembered
}

/// The stage's name in the status.
pub fn stage_name(stage: Stage) -> StageName {
    match stage {
        Stage::Prepare => StageName::Prepare,
        Stage::Train => StageName::Train,
        Stage::Publish => StageName::Publish,
    }
}

fn entry<Report>(stage: StageName, number: usize, attempt: &Attempt<Report>, in_place_restarts: u64) -> (AttemptStatus, bool) {
    let mut entry = AttemptStatus {
        stage,
        number: number as u64,
        started_at: Time(attempt.started_at),
        finished_at: None,
        stop: attempt.stop.map(|stop| match stop {
            StopReason::Suspended => StopCause::Suspended,
            StopReason::DeadlineExceeded => StopCause::DeadlineExceeded,
            StopReason::NoProgress => StopCause::NoProgress,
            StopReason::PodsMissing => StopCause::PodsMissing,
        }),
        end: None,
        exit_code: None,
        pod: None,
        rank: None,
        message: None,
        in_place_restarts,
    };
    let mut counts = false;
    match &attempt.state {
        State::Running => {}
        State::Succeeded { at, .. } => {
            entry.finished_at = Some(Time(*at));
            entry.end = Some(AttemptEnd::Succeeded);
        }
        State::Failed { end, at } => {
            entry.finished_at = Some(Time(*at));
            entry.end = Some(match end.cause {
                Cause::Exited(_) | Cause::Signalled(_) => AttemptEnd::Exited,
                Cause::OutOfMemory => AttemptEnd::OutOfMemory,
                Cause::Interrupted => AttemptEnd::Interrupted,
            });
            entry.exit_code = end.exit_code();
            entry.pod.clone_from(&end.pod);
            entry.rank = end.message.as_ref().and_then(|message| message.rank).map(|rank| rank as u64);
            entry.message = end.message.as_ref().map(|_| bounded(end.sentence()));
            counts = meaning(end, attempt.stop) == Meaning::Retry;
        }
    }
    (entry, counts)
}

fn bounded(mut message: String) -> String {
    let end = (0..=LONGEST_MESSAGE.min(message.len())).rev().find(|&at| message.is_char_boundary(at)).unwrap_or(0);
    message.truncate(end);
    message
}

/// A try of which only is known that it was, and whether it counts.
fn forgotten<Report>(failures: &mut u64) -> Attempt<Report> {
    let cause = if *failures > 0 { Cause::Exited(ExitCode::Unexpected.code().into()) } else { Cause::Interrupted };
    *failures = failures.saturating_sub(1);
    let beginning = Timestamp::UNIX_EPOCH;
    Attempt { started_at: beginning, state: State::Failed { end: End::of(cause), at: beginning }, stop: None }
}

fn attempt<Report>(entry: &AttemptStatus, report: Option<Report>) -> Attempt<Report> {
    let at = entry.finished_at.as_ref().map_or(entry.started_at.0, |time| time.0);
    let state = match (entry.end, report) {
        (None, _) => State::Running,
        (Some(AttemptEnd::Succeeded), Some(report)) => State::Succeeded { report, at },
        (Some(end), _) => {
            let cause = match (end, entry.exit_code) {
                (AttemptEnd::OutOfMemory, _) => Cause::OutOfMemory,
                (AttemptEnd::Exited, Some(code)) => Cause::Exited(code),
                // A success whose report was lost with the status' other fields is made again.
                _ => Cause::Interrupted,
            };
            let message = entry.message.as_ref().map(|message| TerminationMessage {
                rank: entry.rank.and_then(|rank| usize::try_from(rank).ok()),
                ..TerminationMessage::new(entry.exit_code.and_then(ExitCode::from_code).unwrap_or(ExitCode::Unexpected), message, "")
            });
            State::Failed { end: End { cause, message, pod: entry.pod.clone() }, at }
        }
    };
    let stop = entry.stop.map(|stop| match stop {
        StopCause::Suspended => StopReason::Suspended,
        StopCause::DeadlineExceeded => StopReason::DeadlineExceeded,
        StopCause::NoProgress => StopReason::NoProgress,
        StopCause::PodsMissing => StopReason::PodsMissing,
    });
    Attempt { started_at: entry.started_at.0, state, stop }
}

fn prepare_report(status: &FineTuneJobStatus) -> Option<PrepareReport> {
    let (dataset, base_model) = (status.dataset.as_ref()?, status.base_model.as_ref()?);
    let rejected = dataset.rejected.iter().map(|(reason, count)| (reason.clone(), Rejection { count: *count, first: Vec::new() }));
    Some(PrepareReport {
        counts: DatasetCounts {
            rows: dataset.rows,
            accepted: dataset.accepted,
            validation: dataset.validation,
            rejected: rejected.collect(),
            tokens: dataset.tokens,
            ..DatasetCounts::default()
        },
        digest: dataset.digest.clone().unwrap_or_default(),
        chat_template_digest: dataset.chat_template_digest.clone(),
        base_model_digest: base_model.digest.clone(),
        parameters: parameters(status)?,
        memory_estimate_bytes: base_model.memory_estimate_bytes,
        seconds: 0.0,
    })
}

fn parameters(status: &FineTuneJobStatus) -> Option<Parameters> {
    status.parameters.as_ref().map(|parameters| Parameters { total: parameters.total, trainable: parameters.trainable })
}

fn train_report(status: &FineTuneJobStatus) -> Option<TrainReport> {
    let result = status.result.as_ref()?;
    let number = |decimal: &Option<Decimal>| decimal.as_ref().and_then(Decimal::value);
    let losses = number(&result.validation_loss_before).zip(number(&result.validation_loss_after));
    Some(TrainReport {
        step: result.step,
        total_steps: status.trainer_status.as_ref().map_or(result.step, |trainer| trainer.total_steps),
        reason: result.reason.clone(),
        checkpoint: status.checkpoint.as_ref().map(|checkpoint| checkpoint.uri.clone()).unwrap_or_default(),
        parameters: parameters(status)?,
        training_loss: number(&result.training_loss).unwrap_or(f64::NAN),
        validation: losses.map(|(before, after)| BeforeAfter { before, after }),
        tokens: result.tokens,
        tokens_per_second: number(&result.tokens_per_second).unwrap_or_default(),
        seconds: result.seconds as f64,
        evaluation_seconds: 0.0,
        restarts: status.restarts,
        peak_memory_bytes: result.peak_memory_bytes,
    })
}

fn publish_report(status: &FineTuneJobStatus) -> Option<PublishReport> {
    let model = status.model_version.as_ref()?;
    Some(PublishReport {
        path: model.uri.clone(),
        format: match model.format? {
            ModelFormat::PeftAdapter => ArtifactFormat::PeftAdapter,
            ModelFormat::HuggingFace => ArtifactFormat::HuggingFace,
        },
        digest: model.digest.clone(),
        files: [].into(),
    })
}
