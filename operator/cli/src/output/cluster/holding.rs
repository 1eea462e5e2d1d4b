//! What is told while a job is being held or let go, and when there is nothing more to wait for.

use crate::exit::{Exit, Stop};
use crate::program::Program;
use std::time::Duration;
use temper_crds::condition::{COMPLETE, Condition, ConditionStatus, FAILED, READY, RUNNING, STALLED, SUSPENDED, reason};
use temper_crds::{FineTuneJob, FineTuneJobStatus};

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Nothing runs any more, and what was computed is saved.
    Suspended,
    /// It works again.
    Going,
}

/// Whether to go on waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not there yet.
    Wait,
    /// It is; in a sentence.
    Done(String),
    /// It never will be.
    InVain(Stop),
}

/// A job's pods that have not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// They were not listed yet.
    Unknown,
    /// They may not be listed; what the job's status says must do.
    Hidden,
    /// So many.
    There(usize),
}

impl Pods {
    /// Whether none is left, as far as can be told.
    const fn are_gone(self) -> bool {
        matches!(self, Self::Hidden | Self::There(0))
    }

    /// Whether there are some, as far as can be told.
    const fn are_there(self) -> bool {
        matches!(self, Self::Hidden | Self::There(1..))
    }
}

/// An operator that runs looks at a change within a moment.
const SILENCE: Duration = Duration::from_secs(15);

/// Remembers what was told, so that everything is told once.
#[derive(Clone, Debug)]
pub struct Narrator {
    name: String,
    goal: Goal,
    program: Program,
    checkpoint: Option<u64>,
    state: Option<String>,
    pods: Option<usize>,
    wondered: bool,
}

impl Narrator {
    /// Begins with the job as the change left it.
    pub fn new(job: &FineTuneJob, goal: Goal, program: Program) -> Self {
        Self {
            name: job.metadata.name.clone().unwrap_or_default(),
            goal,
            program,
            checkpoint: job.status.as_ref().and_then(checkpoint),
            state: None,
            pods: None,
            wondered: false,
        }
    }

    /// What is to be told of the job as it is now, with so many of its pods that have not ended, after so much waiting. `None` is a job that
    /// is no longer there.
    pub fn look(&mut self, job: Option<&FineTuneJob>, pods: Pods, waited: Duration) -> (Vec<String>, Verdict) {
        let Some(job) = job else {
            return (Vec::new(), Verdict::InVain(Stop::cluster(format!("{} was deleted", self.name), "")));
        };
        let status = job.status.clone().unwrap_or_default();
        let is_current = status.observed_generation >= job.metadata.generation && status.observed_generation.is_some();
        let mut told = Vec::new();
        if is_current {
            self.tell_state(&status, &mut told);
        } else if waited >= SILENCE && !std::mem::replace(&mut self.wondered, true) {
            told.push(
                "the operator has not looked at the change yet; does it run? kubectl get pods --all-namespaces -l app.kubernetes.io/name=temper,app.kubernetes.io/component=operator"
                    .to_owned(),
            );
        }
        self.tell_checkpoint(&status, &mut told);
        self.tell_pods(pods, &mut told);
        let verdict = self.verdict(job, &status, is_current, pods);
        (told, verdict)
    }

    fn tell_state(&mut self, status: &FineTuneJobStatus, told: &mut Vec<String>) {
        let Some(ready) = find(status, READY) else { return };
        // The end is told by the verdict.
        let sentence = format!("{}: {}", ready.reason, ready.message.lines().collect::<Vec<_>>().join("; "));
        if ready.reason != reason::SUSPENDED && self.state.as_ref() != Some(&sentence) {
            told.push(sentence.clone());
            self.state = Some(sentence);
        }
    }

    fn tell_checkpoint(&mut self, status: &FineTuneJobStatus, told: &mut Vec<String>) {
        let step = checkpoint(status);
        if step > self.checkpoint
            && let Some(checkpoint) = &status.checkpoint
        {
            self.checkpoint = step;
            told.push(format!("checkpoint of step {} is written: {}", checkpoint.step, checkpoint.uri));
        }
    }

    fn tell_pods(&mut self, pods: Pods, told: &mut Vec<String>) {
        let Pods::There(now) = pods else { return };
        let before = self.pods.replace(now);
        match (self.goal, before, now) {
            (Goal::Suspended, Some(before), 0) if before > 0 => told.push("the pods are gone".to_owned()),
            (Goal::Suspended, Some(before), _) if now < before => told.push(format!("{} left", plural(now))),
            (Goal::Suspended, None, 1..) => told.push(format!("{} still there", plural(now))),
            (Goal::Going, before, 1..) if Some(now) > before => told.push(format!("{} made", plural(now))),
            _ => {}
        }
    }

    fn verdict(&self, job: &FineTuneJob, status: &FineTuneJobStatus, is_current: bool, pods: Pods) -> Verdict {
        let name = &self.name;
        let ready = find(status, READY);
        if holds(status, COMPLETE) {
            return Verdict::Done(match self.goal {
                Goal::Suspended => format!("{name} was complete before it could be suspended"),
                Goal::Going => format!("{name} is complete"),
            });
        }
        if let Some(failed) = find(status, FAILED).filter(|_| holds(status, FAILED)) {
            let next = format!("{} describe {name}", self.program.name());
            return Verdict::InVain(Stop::new(Exit::JobFailed, format!("{name} failed ({}): {}", failed.reason, failed.message), next));
        }
        if job.spec.suspend != (self.goal == Goal::Suspended) {
            return Verdict::InVain(Stop::cluster(
                format!("somebody has set spec.suspend of {name} to {} meanwhile", job.spec.suspend),
                "if a GitOps tool applies the manifest, change it there",
            ));
        }
        if !is_current {
            return Verdict::Wait;
        }
        match self.goal {
            Goal::Suspended if holds(status, SUSPENDED) && pods.are_gone() => Verdict::Done(self.suspended(status)),
            Goal::Suspended => Verdict::Wait,
            Goal::Going => self.going(status, ready, pods),
        }
    }

    fn going(&self, status: &FineTuneJobStatus, ready: Option<&Condition>, pods: Pods) -> Verdict {
        if let Some(stalled) = find(status, STALLED).filter(|_| holds(status, STALLED)) {
            let next = format!("{} describe {} says what to do", self.program.name(), self.name);
            return Verdict::InVain(Stop::cluster(format!("{} cannot go on ({}): {}", self.name, stalled.reason, stalled.message), next));
        }
        let Some(ready) = ready else { return Verdict::Wait };
        let from = status.checkpoint.as_ref().map(|checkpoint| format!(", from step {}", checkpoint.step)).unwrap_or_default();
        let works = match ready.reason.as_str() {
            reason::QUEUED => return Verdict::Done(format!("{} waits in its queue: {}", self.name, ready.message)),
            reason::TRAINING => holds(status, RUNNING) && pods.are_there(),
            reason::PREPARING | reason::PUBLISHING => pods.are_there(),
            reason::REGISTERING => true,
            _ => false,
        };
        let from = if ready.reason == reason::TRAINING { from } else { String::new() };
        if works { Verdict::Done(format!("{} goes on: {}{from}", self.name, ready.message)) } else { Verdict::Wait }
    }

    fn suspended(&self, status: &FineTuneJobStatus) -> String {
        let place = match (&status.checkpoint, &status.trainer_status) {
            (Some(checkpoint), Some(trainer)) => format!(" at step {} of {}", checkpoint.step, trainer.total_steps),
            (Some(checkpoint), None) => format!(" at step {}", checkpoint.step),
            (None, _) => " before its first checkpoint".to_owned(),
        };
        format!("{} is suspended{place} and holds no pods; {} resume {} lets it go on", self.name, self.program.name(), self.name)
    }
}

fn plural(pods: usize) -> String {
    if pods == 1 { "1 pod is".to_owned() } else { format!("{pods} pods are") }
}

fn checkpoint(status: &FineTuneJobStatus) -> Option<u64> {
    status.checkpoint.as_ref().map(|checkpoint| checkpoint.step)
}

fn find<'a>(status: &'a FineTuneJobStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_)
}

fn holds(status: &FineTuneJobStatus, type_: &str) -> bool {
    find(status, type_).is_some_and(|condition| condition.status == ConditionStatus::True)
}
