//! Every read: files and what the children said become the planner's `Observed`.

use crate::local::run_folder::{RunFolder, newest_checkpoint};
use crate::local::state::{Record, RunState};
use anyhow::Result;
use std::path::Path;
use temper_contract::layout;
use temper_crds::condition::{COMPLETE, ConditionStatus};
use temper_crds::{FineTuneJobStatus, Timestamp};
use temper_planner::observed::State;
use temper_planner::{Attempt, Cause, End, Observed, Progress, Registration, Stage, TrainingAttempt};

/// What only the living executor knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// When this run of `temper` began; absent where nothing is to be run (`temper plan`).
    pub active_since: Option<Timestamp>,
    /// The try whose processes run.
    pub running: Option<(Stage, u64)>,
    /// What the trainer last reported.
    pub progress: Option<Progress>,
    /// When a step was last finished.
    pub last_progress: Option<Timestamp>,
}

/// Reads everything about a run.
pub fn observe(run: &RunFolder, checkpoints: &Path, state: &RunState, live: &Live) -> Result<Observed> {
    let is_running = |stage, index| live.running == Some((stage, index as u64));
    let prepare = attempts(&state.prepare, run.prepare_report()?, run, layout::PREPARE_REPORT, |index| is_running(Stage::Prepare, index));
    let train = attempts(&state.train, run.train_report()?, run, layout::TRAIN_REPORT, |index| is_running(Stage::Train, index));
    let publish = attempts(&state.publish, run.publish_report()?, run, layout::PUBLISH_REPORT, |index| is_running(Stage::Publish, index));
    let restarts = in_place_restarts(&state.train, run.in_place_restarts()?);
    let training = train.into_iter().enumerate().map(|(index, attempt)| TrainingAttempt {
        last_progress: live.last_progress.filter(|_| is_running(Stage::Train, index)),
        in_place_restarts: restarts.get(index).copied().unwrap_or(0),
        attempt,
    });
    let registration = registration(state);
    let published = publish.iter().any(|attempt| attempt.report().is_some());
    let lost = state.registered.is_some() && registration == Registration::Pending;
    Ok(Observed {
        // Processes of this machine start at once.
        pods_missing: false,
        active_since: live.active_since,
        retried_at: state.retried_at,
        prepare,
        training: training.collect(),
        publish,
        registration,
        checkpoint: newest_checkpoint(checkpoints),
        progress: live.progress.clone(),
        device_memory: None,
        obstacle: None,
        freed: true,
        status: if is_complete(&state.status) && (!published || lost) { FineTuneJobStatus::default() } else { state.status.clone() },
    })
}

/// Whether a status says that the job is complete. Here only what is there counts: a model that somebody deleted is made again.
fn is_complete(status: &FineTuneJobStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == COMPLETE && condition.status == ConditionStatus::True)
}

/// The tries at a stage. A report makes the last one a success, however its process ended; a try without an end that does not run was
/// interrupted with the executor that started it.
fn attempts<Report>(
    records: &[Record],
    report: Option<Report>,
    run: &RunFolder,
    report_name: &str,
    is_running: impl Fn(usize) -> bool,
) -> Vec<Attempt<Report>> {
    let mut attempts: Vec<Attempt<Report>> = records
        .iter()
        .enumerate()
        .map(|(index, record)| {
            let state = match &record.ended {
                Some(ended) => State::Failed { end: ended.end(), at: ended.at },
                None if is_running(index) => State::Running,
                None => State::Failed { end: End::of(Cause::Interrupted), at: record.started_at },
            };
            Attempt { started_at: record.started_at, state, stop: record.stop.map(Into::into) }
        })
        .collect();
    let Some(report) = report.filter(|_| attempts.last().is_none_or(|last| !last.is_running())) else { return attempts };
    let written = run.root().join(report_name).metadata().and_then(|metadata| metadata.modified()).ok();
    let at = written.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let succeeded = State::Succeeded { report, at };
    match attempts.last_mut() {
        Some(last) => last.state = succeeded,
        None => attempts.push(Attempt { started_at: at, state: succeeded, stop: None }),
    }
    attempts
}

/// Each attempt's own restarts in place, from the totals noted at the attempts' starts and the total now.
fn in_place_restarts(records: &[Record], total: u64) -> Vec<u64> {
    let ends = records.iter().skip(1).map(|record| record.restarts_before).chain([total]);
    records.iter().zip(ends).map(|(record, end)| end.saturating_sub(record.restarts_before)).collect()
}

fn registration(state: &RunState) -> Registration {
    // A version that was deleted from the registry is registered again.
    let present = state.registered.as_ref().filter(|registered| registered.manifest.is_file());
    present.map_or(Registration::Pending, |registered| Registration::Registered {
        name: registered.name.clone(),
        version: registered.version.into(),
        uri: format!("file://{}", registered.model.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Live, in_place_restarts, observe};
    use crate::local::run_folder::RunFolder;
    use crate::local::state::{Record, RecordedEnd, RunState};
    use std::fs;
    use temper_contract::layout;
    use temper_crds::Timestamp;
    use temper_planner::observed::State;
    use temper_planner::{Cause, Observed, Stage};

    fn record(restarts_before: u64) -> Record {
        Record { started_at: Timestamp::UNIX_EPOCH, restarts_before, stop: None, ended: None }
    }

    fn seen(setup: impl FnOnce(&RunFolder), state: &RunState, live: &Live) -> Observed {
        let root = tempfile::tempdir().expect("a folder");
        let run = RunFolder::new(root.path().to_path_buf());
        setup(&run);
        observe(&run, &run.checkpoints(), state, live).expect("observed")
    }

    fn cause(observed: &Observed) -> Option<Cause> {
        match &observed.publish.last()?.state {
            State::Failed { end, .. } => Some(end.cause),
            _ => None,
        }
    }

    #[test]
    fn a_try_without_an_end_was_interrupted_unless_it_runs() {
        let state = RunState { publish: vec![record(0)], ..RunState::default() };
        assert_eq!(cause(&seen(|_| (), &state, &Live::default())), Some(Cause::Interrupted));
        let live = Live { running: Some((Stage::Publish, 0)), ..Live::default() };
        assert!(seen(|_| (), &state, &live).publish[0].is_running());
    }

    #[test]
    fn a_report_makes_the_last_try_a_success_however_it_ended() {
        let ended = RecordedEnd { at: Timestamp::UNIX_EPOCH, code: 137, signalled: true, message: None };
        let state = RunState { publish: vec![Record { ended: Some(ended), ..record(0) }], ..RunState::default() };
        assert_eq!(cause(&seen(|_| (), &state, &Live::default())), Some(Cause::Signalled(9)));
        let published = |run: &RunFolder| {
            fs::create_dir_all(run.output()).expect("made");
            let report = format!(r#"{{"path": {:?}, "format": "PeftAdapter", "digest": "sha256:0", "files": {{}}}}"#, run.output());
            fs::write(run.root().join(layout::PUBLISH_REPORT), report).expect("written");
        };
        assert!(seen(published, &state, &Live::default()).publish[0].report().is_some());
        assert!(seen(published, &RunState::default(), &Live::default()).publish[0].report().is_some(), "even if the state is lost");
        let gone = |run: &RunFolder| {
            published(run);
            fs::remove_dir(run.output()).expect("removed");
        };
        assert_eq!(cause(&seen(gone, &state, &Live::default())), Some(Cause::Signalled(9)), "a model that is gone is published again");
    }

    #[test]
    fn restarts_belong_to_the_attempt_that_made_them() {
        assert_eq!(in_place_restarts(&[record(0), record(2), record(2)], 5), [2, 0, 3]);
        assert_eq!(in_place_restarts(&[], 5), [0; 0]);
    }
}
