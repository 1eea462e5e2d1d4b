//! `temper logs`: the logs of all pods of a job's try, merged.
//!
//! | Module | What it is |
//! |---|---|
//! | `seen`, `scope` | the pods that are there, and which of them are meant |
//! | `source`, `position`, `tail` | one pod's log, across lost connections |
//! | `merge`, `printer` | all of them in the order of their times |
//! | `follow`, `roster` | across new pods, tries and stages, until the job ends |

mod follow;
mod merge;
mod position;
mod printer;
mod roster;
mod scope;
mod seen;
mod source;
mod tail;

use crate::arguments::cluster::LogsArgs;
use crate::cluster::access::{self, Session};
use crate::cluster::lookup;
use crate::exit::{Exit, Stop};
use crate::output::aside;
use crate::output::terminal::Terminal;
use crate::program::Program;
use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use printer::Printer;
use scope::Asked;
use seen::{Seen, State};
use source::Wanted;
use temper_crds::{FineTuneJob, label};

/// As many logs are read at the same time; each takes a connection to the API server, and one from there to the pod's machine.
const MOST_PODS: usize = 128;

/// Prints logs.
///
/// # Errors
/// Where there are none, or they cannot be had.
pub fn run(arguments: &LogsArgs, terminal: Terminal, program: Program) -> Result<Exit> {
    let asked = Asked {
        stage: arguments.stage.map(seen::stage_of),
        attempt: arguments.attempt,
        previous: arguments.previous,
        rank: arguments.rank,
        follow: arguments.follow,
    };
    if arguments.rank.is_some() && asked.stage.is_some_and(|stage| stage != temper_planner::Stage::Train) {
        return Err(Stop::usage("--rank: only training has ranks", "leave out --rank, or name --stage train").into());
    }
    access::block_on(async {
        let session = Session::open(&arguments.access).await?;
        let job = lookup::job(&session, &arguments.name, program).await?;
        let api: Api<Pod> = Api::namespaced(session.client.clone(), &session.namespace);
        let pods = pods(&session, &api, &arguments.name).await?;
        let scope = scope::choose(asked, &pods, &job)?;
        scope::check_rank(asked.rank, scope, &pods, &job)?;
        let wanted = Wanted { follow: arguments.follow, tail: arguments.tail, since: arguments.since };
        let printer = Printer::new(session.clone(), api, wanted, arguments.rank, arguments.output, terminal);
        if arguments.follow {
            return follow::run(&session, &job, scope, printer).await;
        }
        snapshot(&job, &pods.into_iter().filter(|pod| scope.takes(pod)).collect::<Vec<_>>(), printer).await
    })
}

async fn pods(session: &Session, api: &Api<Pod>, job: &str) -> Result<Vec<Seen>, Stop> {
    let parameters = ListParams::default().labels(&selector(job));
    let what = format!("list the pods of {job} in namespace {}", session.namespace);
    Ok(session.ask(&what, api.list(&parameters)).await?.items.iter().filter_map(Seen::of).collect())
}

/// Selects a job's pods.
fn selector(job: &str) -> String {
    format!("{}={job}", label::JOB_NAME)
}

/// Prints what is there and ends.
async fn snapshot(job: &FineTuneJob, pods: &[Seen], mut printer: Printer) -> Result<Exit> {
    for pod in pods {
        if let State::Waiting(why) = &pod.state {
            aside::say(format_args!("{} says nothing yet{}", pod.name, why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()));
        }
    }
    let speaking: Vec<&Seen> = pods.iter().filter(|pod| !matches!(pod.state, State::Waiting(_))).collect();
    if speaking.is_empty() && pods.is_empty() {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let next = format!("see which pods there are: kubectl get pods -l {}", selector(name));
        return Err(Stop::cluster(format!("the pod of {name} that this rank runs in is not there"), next).into());
    }
    for pod in speaking.iter().take(MOST_PODS) {
        printer.open(pod);
    }
    if speaking.len() > MOST_PODS {
        aside::say(format_args!("these are the logs of {MOST_PODS} of {} pods; choose others with --rank", speaking.len()));
    }
    while !printer.is_done() {
        if !printer.advance().await? {
            break;
        }
    }
    Ok(Exit::Success)
}
