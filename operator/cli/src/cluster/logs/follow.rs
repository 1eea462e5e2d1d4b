//! Follows a job's logs until it ends.

use crate::cluster::access::Session;
use crate::cluster::logs::printer::Printer;
use crate::cluster::logs::roster::{Move, Roster};
use crate::cluster::logs::scope::Scope;
use crate::cluster::logs::seen::Seen;
use crate::cluster::logs::{MOST_PODS, selector};
use crate::exit::Exit;
use crate::output::aside;
use anyhow::Result;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watch_object, watcher};
use kube::{Api, ResourceExt};
use std::pin::pin;
use std::time::Duration;
use temper_crds::FineTuneJob;
use temper_crds::condition::{COMPLETE, Condition, ConditionStatus, FAILED, READY, reason};
use tokio::time::{Instant, sleep_until};

/// When the job has ended, logs that say nothing for so long say nothing more.
const GRACE: Duration = Duration::from_secs(5);

/// Follows.
///
/// # Errors
/// Where logs may not be read, or nothing can be printed.
pub(super) async fn run(session: &Session, job: &FineTuneJob, scope: Scope, mut printer: Printer) -> Result<Exit> {
    let name = job.name_any();
    let jobs: Api<FineTuneJob> = Api::namespaced(session.client.clone(), &session.namespace);
    let pods: Api<Pod> = Api::namespaced(session.client.clone(), &session.namespace);
    let mut job_changes = pin!(watch_object(jobs, &name).default_backoff());
    let mut pod_changes = pin!(watcher(pods, watcher::Config::default().labels(&selector(&name))).default_backoff());
    let mut story = Story { scope, uid: job.uid(), said: None, trouble: None, end: None };
    let mut roster = Roster::new(scope, MOST_PODS);
    let mut pods_known = false;
    let mut heard = Instant::now();
    story.look(Some(job.clone()));
    loop {
        let overdue = story.end.as_ref().filter(|_| pods_known).map(|end| end.at.max(heard) + GRACE);
        if let Some(end) = &story.end
            && pods_known
            && (printer.is_done() || overdue <= Some(Instant::now()))
        {
            if !printer.is_done() {
                aside::say(format_args!("==> a log has no end, though its pod should have one; it is left"));
            }
            aside::say(format_args!("==> {}", end.sentence));
            return Ok(Exit::Success);
        }
        let overdue = overdue.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            biased;
            Some(change) = job_changes.next() => match change {
                Ok(job) => story.look(job),
                Err(error) => story.complain(&error),
            },
            Some(change) = pod_changes.next() => match change {
                Ok(Event::Init) => {}
                Ok(Event::InitDone) => {
                    pods_known = true;
                    printer.want_all();
                }
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                    let moves = Seen::of(&pod).map(|pod| roster.look(&pod)).unwrap_or_default();
                    carry_out(moves, &mut roster, &mut printer);
                }
                Ok(Event::Delete(pod)) => carry_out(roster.gone(&pod.uid().unwrap_or_default()).into_iter().collect(), &mut roster, &mut printer),
                Err(error) => story.complain(&error),
            },
            printed = printer.advance() => {
                heard = Instant::now();
                if !printed? {
                    return Ok(Exit::Success);
                }
            }
            () = sleep_until(overdue) => {}
        }
    }
}

fn carry_out(moves: Vec<Move>, roster: &mut Roster, printer: &mut Printer) {
    for one in moves {
        match one {
            Move::Open(pod) => {
                let number = printer.open(&pod);
                roster.opened(&pod.uid, number);
            }
            Move::End(number) => printer.pod_ended(number),
            Move::Tell(text) => aside::say(format_args!("==> {text}")),
        }
    }
}

/// What was told of the job, and how it ended.
struct Story {
    scope: Scope,
    uid: Option<String>,
    said: Option<String>,
    trouble: Option<String>,
    end: Option<End>,
}

/// Nothing more is to come.
struct End {
    at: Instant,
    sentence: String,
}

impl Story {
    fn look(&mut self, job: Option<FineTuneJob>) {
        if self.end.is_some() {
            return;
        }
        match job.filter(|job| job.uid() == self.uid) {
            None => self.ends("the job was deleted".to_owned()),
            Some(job) => match end(&job) {
                Some(sentence) => self.ends(sentence),
                None if self.scope.is_over(&job) => self.ends("that is all of it; the job goes on".to_owned()),
                None => self.tell(&job),
            },
        }
    }

    fn ends(&mut self, sentence: String) {
        self.end = Some(End { at: Instant::now(), sentence });
    }

    /// Between tries pods say nothing: the job does.
    fn tell(&mut self, job: &FineTuneJob) {
        let Some(ready) = condition(job, READY) else { return };
        let speaks = matches!(ready.reason.as_str(), reason::PREPARING | reason::TRAINING | reason::PUBLISHING);
        let sentence = format!("{}: {}", ready.reason, ready.message.lines().collect::<Vec<_>>().join("; "));
        if self.said.as_ref() != Some(&sentence) {
            if !speaks {
                aside::say(format_args!("==> {sentence}"));
            }
            self.said = Some(sentence);
        }
    }

    fn complain(&mut self, error: &watcher::Error) {
        let trouble = error.to_string();
        if self.trouble.as_ref() != Some(&trouble) {
            aside::say(format_args!("==> {trouble}; trying again"));
            self.trouble = Some(trouble);
        }
    }
}

fn end(job: &FineTuneJob) -> Option<String> {
    let holds = |type_: &str| condition(job, type_).filter(|condition| condition.status == ConditionStatus::True);
    match (holds(COMPLETE), holds(FAILED)) {
        (Some(_), _) => Some(format!("{} is complete", job.name_any())),
        (_, Some(failed)) => Some(format!("{} failed ({}): {}", job.name_any(), failed.reason, failed.message)),
        _ => None,
    }
}

fn condition<'a>(job: &'a FineTuneJob, type_: &str) -> Option<&'a Condition> {
    job.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}
