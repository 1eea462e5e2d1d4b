//! What one Job and its pods say about the try that they are. Decides only.

use crate::watched::{BatchJob, Pod};
use std::sync::Arc;
use temper_contract::termination::StageReport;
use temper_contract::{ExitCode, LastWord, TerminationMessage};
use temper_crds::Timestamp;
use temper_planner::{Cause, End};

/// A pod on a lost machine never ends in the API server's eyes. So long after its grace period is over (seconds) it counts as ended.
pub const LOST_AFTER_SECONDS: i64 = 15;

/// Of a log, so many lines and bytes tell what a process last did.
const LAST_LINES: usize = 3;
const LONGEST_LAST_LINES: usize = 400;

/// One try, as the caches show it.
#[derive(Clone, Debug)]
pub struct SeenAttempt {
    /// Its Job.
    pub job: Arc<BatchJob>,
    /// The Job's pods.
    pub pods: Vec<Arc<Pod>>,
}

/// What has become of a try.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It goes on: its pods run, are to run or are still ending.
    Running,
    /// Its stage is done.
    Done {
        /// What it did.
        report: Box<StageReport>,
        /// When.
        at: Timestamp,
    },
    /// It ended without.
    Ended {
        /// How.
        end: End,
        /// When.
        at: Timestamp,
    },
}

impl SeenAttempt {
    /// What has become of the try.
    pub fn fate(&self, now: Timestamp) -> Fate {
        if self.job.has_succeeded() {
            let at = self.last_finish().unwrap_or(now);
            return match self.report() {
                Some(report) => Fate::Done { report: Box::new(report), at },
                // The watch of pods is behind that of Jobs: the last word is still to come.
                None if self.pods.iter().any(|pod| !pod.is_over()) => Fate::Running,
                // The pod went away before its last word was read: the stage finds its work done and says so again.
                None => Fate::Ended { end: End::of(Cause::Interrupted), at },
            };
        }
        // A lost machine's pod is waited for no longer, but those on other machines must have ended: they hold accelerators.
        let still_ending = self.pods.iter().any(|pod| !pod.is_over() && !is_lost(pod, now));
        if still_ending || !(self.job.has_failed() || self.job.is_going()) {
            return Fate::Running;
        }
        let end = self.most_telling_end(now).unwrap_or_else(|| End::of(Cause::Interrupted));
        Fate::Ended { end, at: self.first_failure().unwrap_or(now) }
    }

    /// Whether the try has lost a pod with its machine, so that the others wait in vain and are to be ended.
    pub fn is_to_be_abandoned(&self, now: Timestamp) -> bool {
        !self.job.is_going() && !self.job.has_succeeded() && self.pods.iter().any(|pod| is_lost(pod, now))
    }

    /// Whether pods of the try have not started, and one that has gave up waiting for them.
    pub fn lacks_pods(&self) -> bool {
        let gave_up = |pod: &Arc<Pod>| pod.terminated().is_some_and(|end| end.exit_code == i32::from(ExitCode::Rendezvous.code()));
        !self.job.is_going() && self.pods.iter().any(|pod| &*pod.phase == "Pending") && self.pods.iter().any(gave_up)
    }

    /// The last word of the pod that speaks for the try.
    fn report(&self) -> Option<StageReport> {
        self.pods.iter().find_map(|pod| match LastWord::parse(pod.terminated()?.message.as_deref()?)? {
            LastWord::Done(report) => Some(report),
            LastWord::Ended(_) => None,
        })
    }

    /// In-place restarts of the run so far, where a pod's last word says so.
    pub fn in_place_restarts(&self) -> Option<u64> {
        let said = |pod: &Arc<Pod>| match LastWord::parse(pod.terminated()?.message.as_deref()?)? {
            LastWord::Done(StageReport::Trained(report)) => Some(report.restarts),
            LastWord::Done(_) => None,
            LastWord::Ended(message) => message.in_place_restarts,
        };
        self.pods.iter().filter_map(said).max()
    }

    /// The end that explains the others: pods whose peers are gone end too.
    fn most_telling_end(&self, now: Timestamp) -> Option<End> {
        let ends = self.pods.iter().filter_map(|pod| Some((end_of(pod, now)?, finished_at(pod))));
        ends.min_by_key(|(end, at)| (weight(end), *at)).map(|(end, _)| end)
    }

    fn first_failure(&self) -> Option<Timestamp> {
        self.pods.iter().filter(|pod| &*pod.phase == "Failed").filter_map(finished_at).min()
    }

    fn last_finish(&self) -> Option<Timestamp> {
        self.pods.iter().filter_map(finished_at).max()
    }
}

fn finished_at(pod: &Arc<Pod>) -> Option<Timestamp> {
    pod.terminated()?.finished_at.as_ref().map(|time| time.0)
}

/// Whether the machine that the pod ran on can no longer say what becomes of it.
pub fn is_lost(pod: &Pod, now: Timestamp) -> bool {
    let Some(deadline) = pod.metadata.deleted.filter(|_| !pod.is_over()) else { return false };
    // The node controller marks the pods of a silent machine as not ready and touches nothing else; a kubelet that lives says both.
    let says = |type_| pod.condition(type_).map(|condition| &*condition.status);
    let silent = says("Ready") == Some("False") && says("ContainersReady") == Some("True");
    silent || now.as_second() >= deadline.as_second() + LOST_AFTER_SECONDS
}

fn lost_end(pod: &Pod) -> End {
    End { pod: Some(pod.name().to_owned()), ..End::of(Cause::Interrupted) }
}

/// How a pod ended; `None` while it has not, or where it succeeded.
fn end_of(pod: &Pod, now: Timestamp) -> Option<End> {
    if &*pod.phase != "Failed" {
        return is_lost(pod, now).then(|| lost_end(pod));
    }
    let disrupted = pod.condition("DisruptionTarget").is_some_and(|condition| &*condition.status == "True");
    let evicted = pod.reason.as_deref().is_some_and(|reason| matches!(reason, "Evicted" | "Preempting" | "NodeLost" | "Shutdown"));
    let terminated = pod.terminated();
    let cause = match terminated {
        _ if disrupted || evicted => Cause::Interrupted,
        Some(end) if end.reason.as_deref() == Some("OOMKilled") => Cause::OutOfMemory,
        Some(end) => Cause::Exited(end.exit_code),
        None => Cause::Interrupted,
    };
    let said = terminated.and_then(|end| end.message.as_deref());
    let message = match said.map(|said| (said, LastWord::parse(said))) {
        Some((_, Some(LastWord::Ended(message)))) => Some(message),
        Some((said, None)) => last_lines(said, &End::of(cause)),
        Some((_, Some(LastWord::Done(_)))) | None => None,
    };
    Some(End { cause, message, pod: Some(pod.name().to_owned()) })
}

/// A process that dies without a last word of its own leaves the end of its log to the kubelet.
fn last_lines(said: &str, end: &End) -> Option<TerminationMessage> {
    let mut lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).rev().take(LAST_LINES).collect();
    lines.reverse();
    let mut told = lines.join(" | ");
    let start = told.len().saturating_sub(LONGEST_LAST_LINES);
    told.drain(..(start..=told.len()).find(|&at| told.is_char_boundary(at)).unwrap_or(0));
    let reason = end.exit_code().and_then(ExitCode::from_code).unwrap_or(ExitCode::Unexpected);
    (!told.is_empty()).then(|| TerminationMessage::new(reason, format!("{}; it last said: {told}", end.sentence()), ""))
}

/// How much an end explains, most first.
fn weight(end: &End) -> u8 {
    match end.cause {
        Cause::Exited(code) => match ExitCode::from_code(code) {
            Some(ExitCode::PeerLost | ExitCode::Rendezvous) => 3,
            Some(ExitCode::Terminated) => 4,
            Some(code) if !code.is_retryable() => 0,
            _ => 2,
        },
        Cause::OutOfMemory | Cause::Signalled(_) => 1,
        Cause::Interrupted => 1,
    }
}

#[cfg(test)]
mod tests;
