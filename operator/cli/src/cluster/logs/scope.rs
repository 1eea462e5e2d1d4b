//! Which pods' logs are meant. Decides only.

use crate::cluster::logs::seen::{Seen, Try, ledger};
use crate::exit::Stop;
use std::collections::BTreeSet;
use temper_crds::FineTuneJob;
use temper_crds::condition::{COMPLETE, ConditionStatus, READY};
use temper_planner::Stage;

/// What a person asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) stage: Option<Stage>,
    pub(super) attempt: Option<u64>,
    pub(super) previous: bool,
    pub(super) rank: Option<u64>,
    pub(super) follow: bool,
}

/// The pods that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// This try and, where later ones are meant too, those after it; `None` for all that come.
    pub(super) first: Option<Try>,
    /// Whether later tries are meant too.
    pub(super) later: bool,
    /// Of this stage only.
    pub(super) stage: Option<Stage>,
    /// On this node only.
    pub(super) node: Option<u64>,
}

impl Scope {
    /// Whether a pod's log is meant.
    pub(super) fn takes(&self, pod: &Seen) -> bool {
        let is_try = match self.first {
            Some(first) if self.later => pod.attempt >= first,
            Some(first) => pod.attempt == first,
            None => true,
        };
        is_try && self.stage.is_none_or(|stage| pod.attempt.stage == stage) && self.node.is_none_or(|node| pod.node == node)
    }

    /// Whether nothing more can come of a job in this state, though the job may go on.
    pub(super) fn is_over(&self, job: &FineTuneJob) -> bool {
        let tries = ledger(job);
        match (self.first, self.later, self.stage) {
            (Some(first), false, _) => tries.iter().any(|(known, entry)| *known == first && entry.end.is_some()),
            (_, true, Some(stage)) => tries.iter().any(|(known, _)| known.stage > stage),
            _ => false,
        }
    }
}

/// Which pods are meant, of those that are there.
pub(super) fn choose(asked: Asked, pods: &[Seen], job: &FineTuneJob) -> Result<Scope, Stop> {
    let node = asked.rank.map(|rank| rank / u64::from(job.spec.trainer.num_proc_per_node.max(1)));
    let tries: BTreeSet<Try> = pods.iter().map(|pod| pod.attempt).collect();
    let of_stage = |stage: Stage| tries.iter().copied().rfind(|known| known.stage == stage);
    // Ranks train; a complete job is asked for how it was trained.
    let stage = asked.stage.or_else(|| (asked.attempt.is_some() || asked.rank.is_some()).then_some(Stage::Train));
    let newest = match stage {
        Some(stage) => of_stage(stage),
        None if is_complete(job) && !asked.previous => of_stage(Stage::Train).or(tries.last().copied()),
        None => tries.last().copied(),
    };
    let node = node.filter(|_| stage == Some(Stage::Train));
    if let Some(number) = asked.attempt {
        let one = Try { stage: stage.unwrap_or(Stage::Train), number };
        let may_come = asked.follow && !has_ended(job, one);
        if !tries.contains(&one) && !may_come {
            return Err(no_such_try(one, &tries, job));
        }
        return Ok(Scope { first: Some(one), later: false, stage: None, node });
    }
    if asked.follow {
        return Ok(Scope { first: newest, later: true, stage: asked.stage.or(stage.filter(|_| asked.rank.is_some())), node });
    }
    let newest = newest.ok_or_else(|| no_pods(job, asked.stage))?;
    if !asked.previous {
        return Ok(Scope { first: Some(newest), later: false, stage: None, node });
    }
    let Some(number) = newest.number.checked_sub(1) else {
        return Err(Stop::cluster(format!("there is no attempt of {} before attempt 0", newest.stage), "leave out --previous"));
    };
    let before = Try { number, ..newest };
    if tries.contains(&before) {
        Ok(Scope { first: Some(before), later: false, stage: None, node })
    } else {
        Err(no_such_try(before, &tries, job))
    }
}

/// Refuses a rank that the job does not have: nobody would ever speak. Pods from before it was made smaller may have more of them.
pub(super) fn check_rank(rank: Option<u64>, scope: Scope, pods: &[Seen], job: &FineTuneJob) -> Result<(), Stop> {
    let trainer = &job.spec.trainer;
    let ranks = u64::from(trainer.num_nodes).saturating_mul(trainer.num_proc_per_node.into());
    let Some(rank) = rank.filter(|rank| *rank >= ranks && !pods.iter().any(|pod| scope.takes(pod))) else { return Ok(()) };
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let (there, next) = match ranks.checked_sub(1) {
        Some(last @ 1..) => (format!("{ranks} ranks"), format!("name one of 0 to {last}, or leave out --rank")),
        _ => ("1 rank".to_owned(), "name --rank 0, or leave it out".to_owned()),
    };
    let size = format!("numNodes {} with numProcPerNode {}", trainer.num_nodes, trainer.num_proc_per_node);
    Err(Stop::cluster(format!("--rank {rank}: {name} has no such rank, but {there} ({size})"), next))
}

fn is_complete(job: &FineTuneJob) -> bool {
    let conditions = job.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == COMPLETE && condition.status == ConditionStatus::True)
}

fn has_ended(job: &FineTuneJob, one: Try) -> bool {
    ledger(job).iter().any(|(known, entry)| *known == one && entry.end.is_some())
}

fn no_such_try(one: Try, there: &BTreeSet<Try>, job: &FineTuneJob) -> Stop {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let known = ledger(job).into_iter().find(|(known, _)| *known == one);
    let shown: Vec<String> = there.iter().map(ToString::to_string).collect();
    let next = match shown.as_slice() {
        [] => "logs go with their pods; a log collector in the cluster would keep them".to_owned(),
        _ => format!("there are pods of {}", shown.join(", ")),
    };
    match known {
        Some((_, entry)) => Stop::cluster(format!("the pods of {one} of {name} are gone{}", last_words(entry.message.as_deref())), next),
        None => Stop::cluster(format!("{name} has no {one}"), next),
    }
}

fn no_pods(job: &FineTuneJob, stage: Option<Stage>) -> Stop {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let ready = job.status.as_ref().and_then(|status| status.conditions.iter().find(|condition| condition.type_ == READY));
    let state = match ready {
        Some(ready) => format!("{}: {}", ready.reason, ready.message.lines().collect::<Vec<_>>().join("; ")),
        None => "the operator has not looked at it yet".to_owned(),
    };
    let of = stage.map(|stage| format!(" of {stage}")).unwrap_or_default();
    let last = ledger(job).into_iter().rfind(|(known, _)| stage.is_none_or(|stage| known.stage == stage));
    let words = last.and_then(|(known, entry)| entry.message.as_ref().map(|message| format!("; the last words of {known}: {message}")));
    Stop::cluster(
        format!("{name} has no pods{of} ({state}){}", words.unwrap_or_default()),
        "logs go with their pods; to wait for pods to come, add -f",
    )
}

fn last_words(message: Option<&str>) -> String {
    message.map(|message| format!("; its last words: {message}")).unwrap_or_default()
}
