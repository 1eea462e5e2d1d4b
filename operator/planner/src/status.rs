//! The status that a job's situation makes.

use crate::conditions;
use crate::end::Meaning;
use crate::intent::Stage;
use crate::ledger;
use crate::observed::{Attempt, Observed, Registration, State};
use crate::plan::Situation;
use crate::progress;
use crate::restart_policy::meaning;
use crate::validated::ValidatedFineTuneJob;
use temper_contract::report::{ArtifactFormat, TrainReport};
use temper_crds::condition::{COMPLETE, Condition, ConditionStatus, FAILED};
use temper_crds::finetunejob::status::{
    BaseModelStatus, CheckpointStatus, DatasetCounts, LastFailure, ModelVersionReference, Parameters, TrainingResult,
};
use temper_crds::modelversion::ModelFormat;
use temper_crds::{Decimal, FineTuneJobStatus, Timestamp};

/// The status to write; what this planner does not know about (the cost) stays as it was.
pub(crate) fn status(job: &ValidatedFineTuneJob, observed: &Observed, situation: &Situation, now: Timestamp) -> FineTuneJobStatus {
    let mut status = observed.status.clone();
    status.observed_generation = job.generation.or(status.observed_generation);
    let is_told = finished(&observed.status).is_some_and(|condition| match situation {
        Situation::Complete => condition.type_ == COMPLETE,
        Situation::Failed { .. } => condition.type_ == FAILED,
        _ => false,
    });
    if is_told {
        // The facts may have been freed since, so what they said is kept; only the generation may be newer.
        status.conditions.iter_mut().for_each(|condition| condition.observed_generation = job.generation.or(condition.observed_generation));
        return status;
    }
    status.conditions = conditions::merged(&observed.status.conditions, conditions::of(job, observed, situation), job.generation, now);
    status.attempt = match situation {
        Situation::Working { stage: Stage::Train, attempt } => Some(*attempt),
        _ => (observed.training.len() as u64).checked_sub(1),
    };
    if let Some(progress) = &observed.progress {
        let running = matches!(situation, Situation::Working { stage: Stage::Train, .. });
        status.trainer_status = Some(progress::trainer_status(progress, running));
    }
    (status.attempts, status.earlier_attempts) = ledger::record(observed);
    if let Some(report) = observed.prepare.iter().find_map(Attempt::report) {
        status.base_model =
            Some(BaseModelStatus { digest: report.base_model_digest.clone(), memory_estimate_bytes: report.memory_estimate_bytes });
        let parameters = report.parameters;
        status.parameters = Decimal::rounded(parameters.trainable_percent()).map(|trainable_percent| Parameters {
            total: parameters.total,
            trainable: parameters.trainable,
            trainable_percent,
        });
        status.dataset = Some(DatasetCounts {
            rows: report.counts.rows,
            accepted: report.counts.accepted,
            validation: report.counts.validation,
            rejected: report.counts.rejected.iter().map(|(reason, rejection)| (reason.clone(), rejection.count)).collect(),
            tokens: report.counts.tokens,
            digest: Some(report.digest.clone()).filter(|digest| !digest.is_empty()),
            chat_template_digest: report.chat_template_digest.clone(),
        });
    }
    if let Some(report) = observed.training.iter().find_map(|training| training.attempt.report()) {
        status.result = Some(result(report));
    }
    if let Some(checkpoint) = &observed.checkpoint {
        status.checkpoint = Some(CheckpointStatus { step: checkpoint.step, uri: checkpoint.uri.clone() });
    }
    status.restarts = restarts(observed, situation);
    status.last_failure = last_failure(observed).or(status.last_failure);
    if let Some(report) = observed.publish.iter().find_map(Attempt::report) {
        let (name, version, uri) = match &observed.registration {
            Registration::Registered { name, version, uri } => (Some(name.clone()), Some(*version), uri.clone()),
            _ => (None, None, report.path.clone()),
        };
        let format = Some(match report.format {
            ArtifactFormat::PeftAdapter => ModelFormat::PeftAdapter,
            ArtifactFormat::HuggingFace => ModelFormat::HuggingFace,
        });
        status.model_version = Some(ModelVersionReference { name, version, uri, digest: report.digest.clone(), format });
    }
    status
}

fn result(report: &TrainReport) -> TrainingResult {
    TrainingResult {
        step: report.step,
        reason: report.reason.clone(),
        training_loss: Decimal::rounded(report.training_loss),
        validation_loss_before: report.validation.and_then(|loss| Decimal::rounded(loss.before)),
        validation_loss_after: report.validation.and_then(|loss| Decimal::rounded(loss.after)),
        tokens: report.tokens,
        tokens_per_second: Decimal::rounded(report.tokens_per_second),
        seconds: report.seconds.max(0.0).round() as u64,
        peak_memory_bytes: report.peak_memory_bytes,
    }
}

/// The condition that says that the job is finished, if it is.
pub(crate) fn finished(status: &FineTuneJobStatus) -> Option<&Condition> {
    let finished = |type_: &str| type_ == COMPLETE || type_ == FAILED;
    status.conditions.iter().find(|condition| finished(&condition.type_) && condition.status == ConditionStatus::True)
}

/// Restarts that were made after failures: in place, and attempts that followed a failed one.
fn restarts(observed: &Observed, situation: &Situation) -> u64 {
    let in_place = observed.training.iter().map(|training| training.in_place_restarts).fold(0, u64::saturating_add);
    let training: Vec<_> = observed.training.iter().map(|training| &training.attempt).collect();
    let starting = |stage: Stage| matches!(situation, Situation::Working { stage: working, .. } if *working == stage);
    in_place
        .saturating_add(followed(&training, starting(Stage::Train)))
        .saturating_add(followed(&observed.prepare.iter().collect::<Vec<_>>(), starting(Stage::Prepare)))
        .saturating_add(followed(&observed.publish.iter().collect::<Vec<_>>(), starting(Stage::Publish)))
}

/// Attempts that failed, count, and are followed by another (which `starting` says for the last).
fn followed<Report>(attempts: &[&Attempt<Report>], starting: bool) -> u64 {
    let followed = if starting { attempts.len() } else { attempts.len().saturating_sub(1) };
    let is_failure = |attempt: &&&Attempt<Report>| match &attempt.state {
        State::Failed { end, .. } => matches!(meaning(end, attempt.stop), Meaning::Retry | Meaning::Fatal),
        _ => false,
    };
    attempts.iter().take(followed).filter(is_failure).count() as u64
}

/// The end of an attempt that failed by its own doing.
fn failure<Report>(attempt: &Attempt<Report>) -> Option<(&crate::End, Timestamp)> {
    match &attempt.state {
        State::Failed { end, at } if meaning(end, attempt.stop) != Meaning::Continue => Some((end, *at)),
        _ => None,
    }
}

fn last_failure(observed: &Observed) -> Option<LastFailure> {
    let training = observed.training.iter().filter_map(|training| failure(&training.attempt).map(|found| (found, training.attempt.stop)));
    let prepare = observed.prepare.iter().filter_map(|attempt| failure(attempt).map(|found| (found, attempt.stop)));
    let publish = observed.publish.iter().filter_map(|attempt| failure(attempt).map(|found| (found, attempt.stop)));
    let ((end, _), stop) = training.chain(prepare).chain(publish).max_by_key(|((_, at), _)| *at)?;
    let stalled = stop == Some(crate::StopReason::NoProgress);
    Some(LastFailure {
        pod: end.pod.clone(),
        rank: end.message.as_ref().and_then(|message| message.rank).map(|rank| rank as u64),
        exit_code: end.exit_code(),
        reason: if stalled { temper_crds::condition::reason::NO_PROGRESS } else { end.reason() }.to_owned(),
        message: Some(conditions::shortened(end.sentence())),
    })
}
