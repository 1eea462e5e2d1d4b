//! Waits until a job is held or goes on, and tells what happens meanwhile.

use crate::cluster::access::Session;
use crate::exit::{Exit, Stop};
use crate::output::aside;
use crate::output::cluster::holding::{Goal, Narrator, Pods, Verdict};
use crate::output::format;
use crate::program::Program;
use anyhow::Result;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watch_object, watcher};
use kube::{Api, ResourceExt};
use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;
use temper_crds::{FineTuneJob, label};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// What is not told by a change is looked at so often: an operator that says nothing.
const LOOK: Duration = Duration::from_secs(1);

/// Waits; what happens goes to standard error, the end to standard output.
///
/// # Errors
/// Where waiting is in vain, takes longer than it may, or is interrupted.
pub async fn until(session: &Session, job: &FineTuneJob, goal: Goal, limit: Option<Duration>, program: Program) -> Result<Exit> {
    let name = job.metadata.name.clone().unwrap_or_default();
    let mut narrator = Narrator::new(job, goal, program);
    let jobs: Api<FineTuneJob> = Api::namespaced(session.client.clone(), &session.namespace);
    let pods: Api<Pod> = Api::namespaced(session.client.clone(), &session.namespace);
    let mut job_changes = pin!(watch_object(jobs, &name).default_backoff());
    let labels = format!("{}={name}", label::JOB_NAME);
    let mut pod_changes = pin!(watcher(pods, watcher::Config::default().labels(&labels)).default_backoff());
    let began = Instant::now();
    let mut overdue = pin!(sleep(limit.unwrap_or(Duration::from_secs(u64::from(u32::MAX)))));
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen { job: None, pods: PodNames::default(), trouble: None };
    loop {
        tokio::select! {
            Some(change) = job_changes.next() => seen.job(change, job.uid()),
            Some(change) = pod_changes.next() => seen.pods(change),
            _ = looks.tick() => {}
            () = &mut overdue => return Err(too_late(&name, goal, limit.unwrap_or_default(), program).into()),
            _ = &mut interrupted => {
                let next = format!("what becomes of it: {} describe {name}", program.name());
                return Err(Stop::new(Exit::Interrupted, "no longer waiting; what was asked for goes on all the same", next).into());
            }
        }
        let Some(job) = &seen.job else { continue };
        let (told, verdict) = narrator.look(job.as_ref(), seen.pods.there(), began.elapsed());
        told.iter().for_each(aside::say);
        match verdict {
            Verdict::Wait => {}
            Verdict::Done(sentence) => {
                format::print(&format!("{sentence}\n"))?;
                return Ok(Exit::Success);
            }
            Verdict::InVain(stop) => return Err(stop.into()),
        }
    }
}

fn too_late(name: &str, goal: Goal, limit: Duration, program: Program) -> Stop {
    let next = format!("it goes on all the same; see {} describe {name}", program.name());
    let not_yet = match goal {
        Goal::Suspended => "is not suspended yet",
        Goal::Going => "does not go on yet",
    };
    Stop::cluster(format!("{name} {not_yet} after {} s (--timeout)", limit.as_secs()), next)
}

/// What was last seen.
struct Seen {
    /// `None` before the first look; then the job, if it is there.
    job: Option<Option<FineTuneJob>>,
    pods: PodNames,
    trouble: Option<String>,
}

impl Seen {
    fn job(&mut self, change: Result<Option<FineTuneJob>, watcher::Error>, uid: Option<String>) {
        match change {
            // Another job of the same name is not the one that is waited for.
            Ok(job) => self.job = Some(job.filter(|job| job.uid() == uid)),
            Err(error) => self.complain(&error),
        }
    }

    fn pods(&mut self, change: Result<Event<Pod>, watcher::Error>) {
        match change {
            Ok(change) => self.pods.take(change),
            Err(error) if is_forbidden(&error) => self.pods.are_hidden = true,
            Err(error) => self.complain(&error),
        }
    }

    fn complain(&mut self, error: &watcher::Error) {
        let trouble = error.to_string();
        if self.trouble.as_ref() != Some(&trouble) {
            aside::say(format_args!("{trouble}; trying again"));
            self.trouble = Some(trouble);
        }
    }
}

/// A job's pods that have not ended.
#[derive(Default)]
struct PodNames {
    names: BTreeSet<String>,
    are_known: bool,
    are_hidden: bool,
}

impl PodNames {
    fn take(&mut self, change: Event<Pod>) {
        match change {
            Event::Init => self.names.clear(),
            Event::InitDone => self.are_known = true,
            Event::Apply(pod) | Event::InitApply(pod) => {
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                if matches!(phase, Some("Succeeded" | "Failed")) {
                    self.names.remove(&pod.name_any());
                } else {
                    self.names.insert(pod.name_any());
                }
            }
            Event::Delete(pod) => {
                self.names.remove(&pod.name_any());
            }
        }
    }

    fn there(&self) -> Pods {
        match (self.are_known, self.are_hidden) {
            (true, _) => Pods::There(self.names.len()),
            (false, true) => Pods::Hidden,
            (false, false) => Pods::Unknown,
        }
    }
}

/// Whoever may suspend a job may not always see its pods.
fn is_forbidden(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.is_forbidden())
}
