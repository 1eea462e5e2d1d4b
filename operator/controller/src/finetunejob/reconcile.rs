//! One reconciliation: observe, validate, plan, execute, report.
//!
//! 1. A finished job only waits for its TTL (`finished`).
//! 2. Gather what the watches and trainers show (no request).
//! 3. Make sure of a Job that should be there and is not to be seen (one request, rarely).
//! 4. Validate the spec and plan: pure.
//! 5. Carry the intents out.
//! 6. Write the status, once, if it changed; then tell the events.
//! 7. Do what had to be in the status first: stop tries, delete those that are over.

use super::attempt::SeenAttempt;
use super::context::Context;
use super::error::Error;
use super::execute;
use super::family::JobKey;
use super::finished;
use super::observe::{self, Find, Seen};
use super::obstacle;
use super::report;
use super::scrape::Target;
use super::whole_second;
use crate::watched::{Body, KnownJob};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::runtime::controller::Action;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use temper_crds::FineTuneJob;
use temper_crds::condition::reason;
use temper_objects::{Owner, Places, names, ports};
use temper_planner::plan::Situation;
use temper_planner::refusal::refused;
use temper_planner::{
    Attempt, Capabilities, Intent, Observed, Obstacle, Plan, Stage, StopReason, TrainingAttempt, ValidatedFineTuneJob, validate,
};

/// Without any event, a job that is under way is looked at this often: for pods of lost machines and Jobs without pods.
const LOOK_AROUND: Duration = Duration::from_secs(30);
/// While a Job has no pods yet, or a pod is ending on a machine that may be lost.
const LOOK_CLOSELY: Duration = Duration::from_secs(5);

/// Brings one job a step further.
pub async fn reconcile(known: Arc<KnownJob>, context: Arc<Context>) -> Result<Action, Error> {
    if known.metadata.deletion_timestamp.is_some() {
        // What belongs to the job goes with it: the garbage collector follows the owner references.
        context.scraper.forget(known.uid());
        return Ok(Action::await_change());
    }
    let now = whole_second(Timestamp::now());
    let owner = Owner { namespace: known.namespace().to_owned(), name: known.name().to_owned(), uid: known.uid().to_owned() };
    match &known.body {
        Body::Finished(end) => {
            context.superseded.forget(&owner.uid);
            finished::reconcile(&context, &known, &owner, *end, now).await
        }
        // The watch is about to bring what was written last, and that comes here again.
        Body::Active(_) if context.superseded.is_stale(&owner.uid, known.metadata.resource_version.as_deref()) => {
            Ok(Action::requeue(LOOK_CLOSELY))
        }
        Body::Active(_) => match known.whole() {
            Ok(Some(job)) => active(&context, &job, &owner, now).await,
            Ok(None) => Ok(Action::await_change()),
            Err(error) => {
                let action = format!("read FineTuneJob {}/{}", owner.namespace, owner.name);
                Err(Error::Invalid { action, message: format!("its CRD is not of this operator's version: {error}") })
            }
        },
    }
}

async fn active(context: &Context, job: &FineTuneJob, owner: &Owner, now: Timestamp) -> Result<Action, Error> {
    let status = job.status.clone().unwrap_or_default();
    let validated = match validate(job, Capabilities::CLUSTER) {
        Ok(validated) => validated,
        Err(problems) => {
            let refused = refused(&status, &problems, job.metadata.generation, now);
            report::write(context, job, owner, &status, &refused).await?;
            return Ok(Action::await_change());
        }
    };
    let key = JobKey::from(owner);
    let find = |stage: Stage, number: u64| {
        // A Job of the same name that belongs to something else is not ours.
        context.families.attempt(&key, &names::batch_job(&owner.name, stage, number)).filter(|seen| seen.job.is_of(&owner.uid))
    };
    if let Some((stage, number)) = observe::doubt(&status, &find) {
        if let Some(pod) = context.families.pod_left_behind(&key, now) {
            // Somebody deleted the Job. The try ends when its pods have, and each of them touches the job.
            let obstacle = Obstacle { reason: reason::PENDING, message: execute::left_behind(&pod), needs_a_person: false };
            let waiting = temper_planner::plan(&validated, &observe::waiting(job, obstacle), now);
            report::write(context, job, owner, &status, &waiting.status).await?;
            return Ok(Action::requeue(LOOK_CLOSELY));
        }
        if execute::exists(context, owner, &names::batch_job(&owner.name, stage, number)).await? {
            // The watch is late. Planning now would start a second try beside the first.
            return Ok(Action::requeue(Duration::from_secs(1)));
        }
    }
    let mut observed = gather(context, job, &validated, owner, &find, now).await?;
    let mut plan = temper_planner::plan(&validated, &observed, now);
    let mut carried_out = carry_out(context, &validated, owner, &observed, &plan, now).await;
    if carried_out.is_ok() {
        // What the status said already and could not be done then: what is in its way is told.
        carried_out = execute::stop_those_told(context, owner, &status).await;
    }
    if carried_out.is_ok() && plan.situation == Situation::Registering {
        // Registering is over as soon as it is done: one more look saves a status in between.
        observed = gather(context, job, &validated, owner, &find, now).await?;
        plan = temper_planner::plan(&validated, &observed, now);
        carried_out = carry_out(context, &validated, owner, &observed, &plan, now).await;
    }
    if carried_out.is_ok() && note(&mut observed, &plan.intents, now) {
        // What was just started or told to stop is in the status at once: the watch will only confirm it.
        plan = temper_planner::plan(&validated, &observed, now);
    }
    let (plan, failure) = match carried_out {
        Ok(()) => (plan, None),
        Err(error) if error.is_to_be_told() => (told(&validated, observed.clone(), &error, now), Some(error)),
        Err(error) => return Err(error),
    };
    report::write(context, job, owner, &status, &plan.status).await?;
    watch_trainers(context, owner, &plan.situation, &find);
    if let Some(error) = failure {
        return Err(error);
    }
    execute::follow_up(context, owner, &plan.status).await?;
    Ok(next_look(&plan, &find, now))
}

async fn gather(
    context: &Context,
    job: &FineTuneJob,
    validated: &ValidatedFineTuneJob,
    owner: &Owner,
    find: Find<'_>,
    now: Timestamp,
) -> Result<Observed, Error> {
    let places = Places::of(validated, owner);
    let scraped = context.scraper.latest(&owner.uid);
    let checkpoint_uri = |attempt, step| places.checkpoint_uri(attempt, step);
    let mut seen = Seen {
        find,
        scraped: scraped.as_ref(),
        registration: temper_planner::Registration::Pending,
        refusal: None,
        freed: false,
        device_memory: context.machines.gpu_memory(validated),
        checkpoint_uri: &checkpoint_uri,
        model_uri: places.model_uri(),
    };
    let mut observed = observe::observed(job, &seen, now);
    if let (Some(register), Some(published)) = (&validated.register, observed.publish.iter().find_map(Attempt::report))
        && let Some((name, version)) = context.versions.made_of(&owner.namespace, &register.model_name, &owner.uid, &published.digest)
    {
        let uri = places.model_uri().to_owned();
        observed.registration = temper_planner::Registration::Registered { name, version, uri };
    }
    // Only a Job that should have pods and has none is worth a request: its events say why.
    if observed.obstacle.as_ref().is_some_and(|obstacle| obstacle.reason == reason::PODS_REFUSED)
        && let Some(said) = refusal(context, owner, find, &observed, now).await
    {
        seen.refusal = Some(&said);
        seen.registration = observed.registration;
        observed = observe::observed(job, &seen, now);
    }
    Ok(observed)
}

/// What the Job controller last said about pods that it could not make.
async fn refusal(context: &Context, owner: &Owner, find: Find<'_>, observed: &Observed, now: Timestamp) -> Option<String> {
    let last = |stage, count: usize| find(stage, (count as u64).checked_sub(1)?);
    let podless = [
        last(Stage::Prepare, observed.prepare.len()),
        last(Stage::Train, observed.training.len()),
        last(Stage::Publish, observed.publish.len()),
    ];
    let seen = podless.into_iter().flatten().find(|seen| obstacle::is_podless(seen, now))?;
    let uid = seen.job.metadata.uid.as_deref()?;
    let api: Api<Event> = Api::namespaced(context.client.clone(), &owner.namespace);
    let fields = format!("regarding.uid={uid},reason=FailedCreate");
    // An operator that may not read events says less, and works all the same.
    let events = api.list(&ListParams::default().fields(&fields)).await.ok()?;
    events.items.into_iter().filter_map(|event| event.note).next_back()
}

async fn carry_out(
    context: &Context,
    validated: &ValidatedFineTuneJob,
    owner: &Owner,
    observed: &Observed,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), Error> {
    for intent in &plan.intents {
        execute::carry_out(context, validated, owner, observed, intent).await?;
    }
    if let Situation::Working { stage: Stage::Train, attempt } = plan.situation {
        let name = names::batch_job(&owner.name, Stage::Train, attempt);
        let key = JobKey::from(owner);
        if context.families.attempt(&key, &name).is_some_and(|seen| seen.is_to_be_abandoned(now)) {
            execute::stop(context, owner, &name).await?;
        }
    }
    Ok(())
}

/// Notes among what was observed the try that was just started, and the one that is told to stop; whether there is one.
fn note(observed: &mut Observed, intents: &[Intent], now: Timestamp) -> bool {
    let mut noted = false;
    for intent in intents {
        match intent {
            Intent::EnsurePrepare { attempt } if *attempt == observed.prepare.len() as u64 => observed.prepare.push(Attempt::started(now)),
            Intent::EnsureTrainers { attempt, .. } if *attempt == observed.training.len() as u64 => {
                observed.training.push(TrainingAttempt { attempt: Attempt::started(now), last_progress: None, in_place_restarts: 0 });
            }
            Intent::EnsurePublish { attempt } if *attempt == observed.publish.len() as u64 => observed.publish.push(Attempt::started(now)),
            Intent::Stop { stage, attempt, reason } if stop_of(observed, *stage, *attempt).is_some_and(|stop| stop.is_none()) => {
                if let Some(stop) = stop_of(observed, *stage, *attempt) {
                    *stop = Some(*reason);
                }
            }
            _ => continue,
        }
        noted = true;
    }
    noted
}

/// Why a try was told to stop, to be read or noted.
fn stop_of(observed: &mut Observed, stage: Stage, attempt: u64) -> Option<&mut Option<StopReason>> {
    let index = usize::try_from(attempt).ok()?;
    match stage {
        Stage::Prepare => observed.prepare.get_mut(index).map(|attempt| &mut attempt.stop),
        Stage::Train => observed.training.get_mut(index).map(|training| &mut training.attempt.stop),
        Stage::Publish => observed.publish.get_mut(index).map(|attempt| &mut attempt.stop),
    }
}

/// The plan with why it could not be carried out as what is in the way.
fn told(validated: &ValidatedFineTuneJob, observed: Observed, error: &Error, now: Timestamp) -> Plan {
    let obstacle = match error {
        Error::Refused { .. } => {
            let message = format!("{error}; give the operator that right or make room, then it goes on");
            Obstacle { reason: reason::FORBIDDEN, message, needs_a_person: true }
        }
        Error::Early { .. } => Obstacle { reason: reason::PENDING, message: error.to_string(), needs_a_person: false },
        error => Obstacle { reason: reason::FORBIDDEN, message: error.to_string(), needs_a_person: true },
    };
    temper_planner::plan(validated, &Observed { obstacle: Some(obstacle), ..observed }, now)
}

/// Has the running attempt's rank 0 scraped, and nothing else.
fn watch_trainers(context: &Context, owner: &Owner, situation: &Situation, find: Find<'_>) {
    let target = match situation {
        Situation::Working { stage: Stage::Train, attempt } => find(Stage::Train, *attempt).and_then(|seen| rank_0(&seen, *attempt)),
        // Its last words are still to come, and what it said before stays true until then.
        Situation::Stopping { stage: Stage::Train, .. } => return,
        _ => None,
    };
    match target {
        Some(target) => context.scraper.watch(&owner.uid, &owner.namespace, &owner.name, target),
        None => context.scraper.forget(&owner.uid),
    }
}

/// Where rank 0 of a running attempt serves its metrics.
fn rank_0(seen: &SeenAttempt, attempt: u64) -> Option<Target> {
    let pod = seen.pods.iter().find(|pod| &*pod.phase == "Running" && pod.completion_index == Some(0))?;
    let address: IpAddr = pod.pod_ip.as_deref()?.parse().ok()?;
    Some(Target { attempt, address: SocketAddr::new(address, ports::METRICS) })
}

/// When to look again although nothing has happened.
fn next_look(plan: &Plan, find: Find<'_>, now: Timestamp) -> Action {
    let (Situation::Working { stage, attempt } | Situation::Stopping { stage, attempt, .. }) = plan.situation else {
        return plan.wake_at.map_or_else(Action::await_change, |at| Action::requeue(until(at, now)));
    };
    let restless = find(stage, attempt).is_none_or(|seen| {
        seen.pods.is_empty() && !seen.job.is_suspended() || seen.pods.iter().any(|pod| pod.metadata.deleted.is_some() && !pod.is_over())
    });
    let look = if restless { LOOK_CLOSELY } else { LOOK_AROUND };
    Action::requeue(plan.wake_at.map_or(look, |at| until(at, now).min(look)))
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default().max(Duration::from_millis(50))
}

#[cfg(test)]
mod tests;
