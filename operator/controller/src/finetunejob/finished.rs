//! A job that has ended: what it still holds is freed when its time has come, and nothing is ever run again.

use super::context::Context;
use super::error::Error;
use super::execute;
use super::family::{JobKey, Kind};
use super::report;
use crate::watched::{Finished, KnownJob};
use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use kube::runtime::controller::Action;
use std::time::Duration;
use temper_crds::FineTuneJob;
use temper_objects::Owner;
use temper_planner::ttl_policy::{Decision, decide};

/// Frees what a finished job holds, in time; says that a newer generation was seen.
pub async fn reconcile(context: &Context, known: &KnownJob, owner: &Owner, end: Finished, now: Timestamp) -> Result<Action, Error> {
    context.scraper.forget(&owner.uid);
    let key = JobKey::from(owner);
    context.families.shrink(&key);
    if end.observed_generation < known.metadata.generation {
        acknowledge(context, owner, known.metadata.generation).await?;
    }
    let holds = [Kind::Job, Kind::Service, Kind::ConfigMap, Kind::NetworkPolicy].iter().any(|kind| context.families.has(&key, *kind));
    match decide(end.at, end.ttl_seconds.map(u64::from), !holds, now) {
        Decision::Keep => Ok(Action::await_change()),
        Decision::Free => {
            execute::free(context, owner, !end.keeps_claim).await?;
            Ok(Action::await_change())
        }
        Decision::WaitUntil(due) => Ok(Action::requeue(Duration::try_from(due.duration_since(now)).unwrap_or_default())),
    }
}

/// The spec of a finished job was changed (its TTL may be): nothing comes of it but that it was seen. Only here the whole is read again.
async fn acknowledge(context: &Context, owner: &Owner, generation: Option<i64>) -> Result<(), Error> {
    let api: Api<FineTuneJob> = Api::namespaced(context.client.clone(), &owner.namespace);
    let found = api.get_opt(&owner.name).await.map_err(|error| Error::of(format!("get FineTuneJob {}", owner.name), &error))?;
    let Some(job) = found.filter(|job| job.metadata.uid.as_deref() == Some(owner.uid.as_str())) else { return Ok(()) };
    let before = job.status.clone().unwrap_or_default();
    let mut after = before.clone();
    after.observed_generation = generation;
    after.conditions.iter_mut().for_each(|condition| condition.observed_generation = generation);
    report::write(context, &job, owner, &before, &after).await
}
