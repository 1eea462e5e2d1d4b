//! A job's pods and tries, as far as logs need to know them.

use crate::arguments::cluster::StageArg;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::ResourceExt;
use std::fmt;
use temper_crds::finetunejob::attempts::{AttemptStatus, StageName};
use temper_crds::{FineTuneJob, label};
use temper_planner::Stage;

/// The number of an Indexed Job's pod, as a label and as an annotation.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// One try at a stage. A later stage's are later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Try {
    pub(super) stage: Stage,
    pub(super) number: u64,
}

impl fmt::Display for Try {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "attempt {} of {}", self.number, self.stage)
    }
}

/// A pod of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) attempt: Try,
    /// Its node's number among those of its attempt.
    pub(super) node: u64,
    pub(super) state: State,
}

/// Whether a pod has a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not yet; why, where it is said.
    Waiting(Option<String>),
    /// It writes one.
    Running,
    /// It has written it.
    Ended,
}

impl Seen {
    /// The pod; `None` where its labels are not those of a job's pod.
    pub(super) fn of(pod: &Pod) -> Option<Self> {
        let labels = pod.labels();
        let stage = match labels.get(label::STAGE)?.as_str() {
            "prepare" => Stage::Prepare,
            "train" => Stage::Train,
            "publish" => Stage::Publish,
            _ => return None,
        };
        let number = labels.get(label::ATTEMPT)?.parse().ok()?;
        let index = labels.get(INDEX).or_else(|| pod.annotations().get(INDEX));
        Some(Self {
            name: pod.name_any(),
            uid: pod.uid()?,
            attempt: Try { stage, number },
            node: index.and_then(|index| index.parse().ok()).unwrap_or(0),
            state: state(pod),
        })
    }
}

fn state(pod: &Pod) -> State {
    let status = pod.status.clone().unwrap_or_default();
    let container: Option<ContainerState> =
        status.container_statuses.unwrap_or_default().into_iter().next().and_then(|container| container.state);
    match container {
        Some(ContainerState { terminated: Some(_), .. }) => State::Ended,
        Some(ContainerState { running: Some(_), .. }) => State::Running,
        Some(ContainerState { waiting: Some(waiting), .. }) => {
            let reason = waiting.reason.filter(|reason| reason != "ContainerCreating" && reason != "PodInitializing");
            State::Waiting(reason.map(|reason| match waiting.message {
                Some(message) => format!("{reason}: {message}"),
                None => reason,
            }))
        }
        _ => match status.phase.as_deref() {
            // Its node never started it, or took it away.
            Some("Succeeded" | "Failed") => State::Ended,
            _ => {
                let conditions = status.conditions.unwrap_or_default();
                let scheduled = conditions.into_iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
                State::Waiting(scheduled.and_then(|condition| condition.message))
            }
        },
    }
}

/// The tries that the job's status remembers, in order.
pub(super) fn ledger(job: &FineTuneJob) -> Vec<(Try, &AttemptStatus)> {
    let attempts = job.status.as_ref().map(|status| status.attempts.as_slice()).unwrap_or_default();
    let stage = |name: StageName| match name {
        StageName::Prepare => Stage::Prepare,
        StageName::Train => Stage::Train,
        StageName::Publish => Stage::Publish,
    };
    attempts.iter().map(|entry| (Try { stage: stage(entry.stage), number: entry.number }, entry)).collect()
}

/// The stage that a flag names.
pub(super) const fn stage_of(argument: StageArg) -> Stage {
    match argument {
        StageArg::Prepare => Stage::Prepare,
        StageArg::Train => Stage::Train,
        StageArg::Publish => Stage::Publish,
    }
}
