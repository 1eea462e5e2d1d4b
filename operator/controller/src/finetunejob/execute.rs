//! Carries a plan's intents out: the only place that writes anything but a status.

use super::context::Context;
use super::error::Error;
use super::family::{Families, JobKey, Kind, Whose};
use crate::FIELD_MANAGER;
use crate::watched::{BatchJob, BatchJobEvent, Marker};
use futures::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use temper_contract::report::{PrepareReport, TrainReport};
use temper_crds::finetunejob::attempts::{AttemptStatus, StageName};
use temper_crds::{FineTuneJobStatus, ModelVersion};
use temper_objects::{Object, Owner, Places, names};
use temper_planner::{Attempt, Intent, Observed, Stage, ValidatedFineTuneJob};

/// Carries out one intent. What is carried out already costs no request.
pub async fn carry_out(
    context: &Context,
    job: &ValidatedFineTuneJob,
    owner: &Owner,
    observed: &Observed,
    intent: &Intent,
) -> Result<(), Error> {
    let settings = &context.settings;
    match intent {
        Intent::EnsurePrepare { attempt } => {
            ensure(context, job, owner, Stage::Prepare, *attempt, || temper_objects::prepare(job, owner, settings, *attempt)).await
        }
        Intent::EnsureTrainers { attempt, num_nodes, num_proc_per_node, restarts_left, .. } => {
            // The trainer counts its restarts over all attempts of the run.
            let before = in_place_restarts_before(observed, *attempt);
            let max_restarts = restarts_left.saturating_add(before);
            ensure(context, job, owner, Stage::Train, *attempt, || {
                temper_objects::trainers(job, owner, settings, *attempt, *num_nodes, *num_proc_per_node, max_restarts)
            })
            .await
        }
        Intent::EnsurePublish { attempt } => {
            let parameters = observed.prepare.iter().find_map(Attempt::report).map(|report| report.parameters.total);
            ensure(context, job, owner, Stage::Publish, *attempt, || temper_objects::publish(job, owner, settings, *attempt, parameters))
                .await
        }
        // Told first, then done: a stop that nobody remembers would be judged as a failure. See `follow_up`.
        Intent::Stop { .. } => Ok(()),
        Intent::Register { .. } => register(context, job, owner, observed).await,
        Intent::FreeFinished => free(context, owner, false).await,
    }
}

fn in_place_restarts_before(observed: &Observed, attempt: u64) -> u64 {
    let before = usize::try_from(attempt).unwrap_or(usize::MAX);
    observed.training.iter().take(before).map(|training| training.in_place_restarts).sum()
}

/// Makes what an intent stands for, as far as it is not there.
async fn ensure(
    context: &Context,
    job: &ValidatedFineTuneJob,
    owner: &Owner,
    stage: Stage,
    attempt: u64,
    build: impl FnOnce() -> Vec<Object>,
) -> Result<(), Error> {
    let key = JobKey::from(owner);
    let families = &context.families;
    let name = names::batch_job(&owner.name, stage, attempt);
    let there = families.attempt(&key, &name);
    if let Some(seen) = &there {
        if !seen.job.is_of(&owner.uid) {
            return Err(in_the_way(&seen.job, owner, &name));
        }
        if !seen.job.is_owned_by(&owner.uid) {
            adopt(context, owner, &name, seen.job.metadata.uid.as_deref()).await?;
        }
    }
    let has_job = there.is_some();
    let claim = Places::need_a_claim(job).then(|| names::run_claim(&owner.name));
    let mut companions = companions(&owner.name, stage);
    companions.extend(claim.clone().map(|name| (Kind::PersistentVolumeClaim, name)));
    if has_job && companions.iter().all(|(kind, name)| families.is_there(&key, *kind, name)) {
        return Ok(());
    }
    if !has_job && let Some(until) = still_going(families, owner, claim.as_deref(), &name) {
        return Err(Error::Early { action: format!("make Job {}/{name}", owner.namespace), until });
    }
    let is_missing = |object: &Object| match kind(object) {
        Kind::Job => !has_job,
        // A running try keeps the configuration that it was started with, even if the next one's would differ.
        kind if has_job || object.is_made_once() => !families.is_there(&key, kind, object.name()),
        kind => !families.is_current(&key, kind, object.name(), object.content_digest()),
    };
    let missing = build().into_iter().filter(is_missing);
    let (jobs, others): (Vec<Object>, Vec<Object>) = missing.partition(|object| kind(object) == Kind::Job);
    // They do not depend on each other. Of several refusals the first in their order is told, whichever came first.
    let mut refused = Ok(());
    for (applied, object) in join_all(others.iter().map(|object| apply(context, object))).await.into_iter().zip(&others) {
        match applied {
            Ok(()) if kind(object) == Kind::PersistentVolumeClaim => {
                families.put_claim(key.clone(), object.name(), Whose::Of(owner.uid.as_str().into()));
            }
            Ok(()) => families.put(key.clone(), kind(object), object.name(), object.content_digest()),
            Err(error) => refused = refused.and(Err(error)),
        }
    }
    refused?;
    // Its pods need them.
    for job in jobs {
        apply(context, &job).await?;
        families.expect_job(key.clone(), job.name(), &owner.reference());
    }
    Ok(())
}

/// What an earlier job of this name, or an attempt whose Job was deleted, still has: a try does not start beside its pods, which write and
/// hold accelerators, nor on a claim or as a Job that the garbage collector is about to take.
fn still_going(families: &Families, owner: &Owner, claim: Option<&str>, job_name: &str) -> Option<String> {
    let key = JobKey::from(owner);
    if let Some(pod) = families.pod_left_behind(&key, Timestamp::now()) {
        return Some(left_behind(&pod));
    }
    if families.is_there(&key, Kind::Job, job_name) {
        return Some(format!("Job {job_name} of an earlier job is still there"));
    }
    let claim = claim?;
    match families.claim(&key, claim)? {
        Whose::Going => Some(format!("PersistentVolumeClaim {claim} is still being deleted")),
        Whose::Of(uid) if *uid != *owner.uid => Some(format!("PersistentVolumeClaim {claim} of an earlier job is still there")),
        Whose::Of(_) | Whose::Nobody => None,
    }
}

/// Why a pod that has lost its Job is waited for.
pub fn left_behind(pod: &str) -> String {
    format!("pod {pod} has lost its Job and has not ended; if it does not, delete it")
}

/// A Job of the name that is wanted, of an earlier job of this name or of somebody else: what it did is not this job's work.
fn in_the_way(there: &BatchJob, owner: &Owner, name: &str) -> Error {
    let action = format!("make Job {}/{name}", owner.namespace);
    if there.is_going() || there.metadata.controller().is_some() {
        // It is about to go with its owner.
        return Error::Conflict { action };
    }
    let message = format!("there is one already, left behind by another job; delete it: kubectl delete job {name} -n {}", owner.namespace);
    Error::Invalid { action, message }
}

/// Gives a Job its owner back, which somebody took away: without, it would outlive its job.
async fn adopt(context: &Context, owner: &Owner, job_name: &str, uid: Option<&str>) -> Result<(), Error> {
    let api: Api<Job> = Api::namespaced(context.client.clone(), &owner.namespace);
    let patch = json!({ "metadata": { "uid": uid, "ownerReferences": [owner.reference()] } });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let adopted = api.patch_metadata(job_name, &params, &Patch::Merge(&patch)).await;
    adopted.map(|_| ()).map_err(|error| Error::of(format!("adopt Job {}/{job_name}", owner.namespace), &error))
}

/// What a stage's Job cannot do without, besides its claim.
fn companions(job: &str, stage: Stage) -> Vec<(Kind, String)> {
    let config = (Kind::ConfigMap, names::config_map(job));
    match stage {
        Stage::Prepare | Stage::Publish => vec![config, (Kind::NetworkPolicy, names::transfer_policy(job))],
        Stage::Train => vec![config, (Kind::NetworkPolicy, names::ranks_policy(job)), (Kind::Service, names::service(job))],
    }
}

fn kind(object: &Object) -> Kind {
    match object {
        Object::ConfigMap(_) => Kind::ConfigMap,
        Object::PersistentVolumeClaim(_) => Kind::PersistentVolumeClaim,
        Object::Service(_) => Kind::Service,
        Object::NetworkPolicy(_) => Kind::NetworkPolicy,
        Object::Job(_) => Kind::Job,
    }
}

async fn apply(context: &Context, object: &Object) -> Result<(), Error> {
    match object {
        Object::ConfigMap(object) => apply_one(context, &**object).await,
        Object::PersistentVolumeClaim(object) => apply_one(context, &**object).await,
        Object::Service(object) => apply_one(context, &**object).await,
        Object::NetworkPolicy(object) => apply_one(context, &**object).await,
        Object::Job(object) => apply_one(context, &**object).await,
    }
}

/// Server-side apply without force: a field that somebody else manages is theirs. An object of the same name that belongs to another
/// controller is refused by the API server, since an object has one controller.
async fn apply_one<K>(context: &Context, object: &K) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<Marker<K>> = Api::namespaced(context.client.clone(), &namespace);
    let params = PatchParams::apply(FIELD_MANAGER);
    let applied = api.patch(&name, &params, &Patch::Apply(object)).await;
    applied.map(|_| ()).map_err(|error| Error::of(format!("apply {} {namespace}/{name}", K::kind(&())), &error))
}

/// Deletes a Job; its pods get SIGTERM, write a checkpoint and end, and the Job stays until they have.
pub async fn stop(context: &Context, owner: &Owner, job_name: &str) -> Result<(), Error> {
    let seen = context.families.attempt(&JobKey::from(owner), job_name);
    match seen {
        Some(seen) if seen.job.is_going() => Ok(()),
        Some(seen) => {
            delete::<Job>(context, &owner.namespace, job_name, seen.job.metadata.uid.as_deref(), DeleteParams::foreground()).await
        }
        None => Ok(()),
    }
}

/// Stops the tries that the status says were told to stop.
pub async fn stop_those_told(context: &Context, owner: &Owner, written: &FineTuneJobStatus) -> Result<(), Error> {
    for name in told_to_stop(&owner.name, written) {
        stop(context, owner, &name).await?;
    }
    Ok(())
}

/// Does what was to be in the status first, and is now: stops tries that were told to stop, and deletes the Jobs of those that are over.
pub async fn follow_up(context: &Context, owner: &Owner, written: &FineTuneJobStatus) -> Result<(), Error> {
    stop_those_told(context, owner, written).await?;
    for name in superseded(&owner.name, written) {
        if let Some(seen) = context.families.attempt(&JobKey::from(owner), &name).filter(|seen| !seen.job.is_going()) {
            delete::<Job>(context, &owner.namespace, &name, seen.job.metadata.uid.as_deref(), DeleteParams::background()).await?;
        }
    }
    Ok(())
}

/// Jobs of the tries that were told to stop and have not ended.
fn told_to_stop(job_name: &str, written: &FineTuneJobStatus) -> Vec<String> {
    let is_told = |entry: &&AttemptStatus| entry.stop.is_some() && entry.end.is_none();
    written.attempts.iter().filter(is_told).map(|entry| batch_job(job_name, entry)).collect()
}

/// Jobs of the tries that ended and are followed by another of their stage. The last try of each stage stays, for its logs.
fn superseded(job_name: &str, written: &FineTuneJobStatus) -> Vec<String> {
    let is_followed = |entry: &&AttemptStatus| {
        entry.end.is_some() && written.attempts.iter().any(|other| other.stage == entry.stage && other.number > entry.number)
    };
    written.attempts.iter().filter(is_followed).map(|entry| batch_job(job_name, entry)).collect()
}

/// The name of a try's Job.
fn batch_job(job_name: &str, entry: &AttemptStatus) -> String {
    let stage = match entry.stage {
        StageName::Prepare => Stage::Prepare,
        StageName::Train => Stage::Train,
        StageName::Publish => Stage::Publish,
    };
    names::batch_job(job_name, stage, entry.number)
}

/// Deletes what a finished job still has. Its own claim stays where a model or checkpoints lie on it that nobody has elsewhere.
pub async fn free(context: &Context, owner: &Owner, with_claim: bool) -> Result<(), Error> {
    let key = JobKey::from(owner);
    let namespace = &owner.namespace;
    let own = Some(Whose::Of(owner.uid.as_str().into()));
    for (kind, name) in context.families.names(&key) {
        match kind {
            Kind::Job => delete::<Job>(context, namespace, &name, None, DeleteParams::background()).await?,
            Kind::Service => delete::<Service>(context, namespace, &name, None, DeleteParams::default()).await?,
            Kind::NetworkPolicy => delete::<NetworkPolicy>(context, namespace, &name, None, DeleteParams::default()).await?,
            Kind::ConfigMap => delete::<ConfigMap>(context, namespace, &name, None, DeleteParams::default()).await?,
            // One that an earlier job of this name left may hold a registered model.
            Kind::PersistentVolumeClaim if with_claim && context.families.claim(&key, &name) == own => {
                delete::<PersistentVolumeClaim>(context, namespace, &name, None, DeleteParams::default()).await?;
            }
            // Pods go with their Jobs.
            Kind::PersistentVolumeClaim | Kind::Pod => {}
        }
    }
    Ok(())
}

/// Deletes an object, if it is (still) the one with this UID. One that is gone already is as good as deleted.
async fn delete<K>(context: &Context, namespace: &str, name: &str, uid: Option<&str>, params: DeleteParams) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let params = match uid {
        Some(uid) => params.preconditions(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        None => params,
    };
    match api.delete(name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        Err(error) => Err(Error::of(format!("delete {} {namespace}/{name}", K::kind(&())), &error)),
    }
}

/// Enters the published model in the registry. The version's number is taken by making the object: who comes second takes the next one.
async fn register(context: &Context, job: &ValidatedFineTuneJob, owner: &Owner, observed: &Observed) -> Result<(), Error> {
    let (Some(register), Some(published)) = (&job.register, observed.publish.iter().find_map(Attempt::report)) else { return Ok(()) };
    let Some(prepared) = observed.prepare.iter().find_map(Attempt::report) else { return Ok(()) };
    let trained = observed.training.iter().find_map(|training| training.attempt.report());
    let api: Api<ModelVersion> = Api::namespaced(context.client.clone(), &owner.namespace);
    keep_claim(context, job, owner).await?;
    let mut version = context.versions.next_number(&owner.namespace, &register.model_name);
    loop {
        let object = model_version(job, owner, prepared, trained, published, version);
        let name = object.name_any();
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match api.create(&params, &object).await {
            Ok(made) => {
                context.versions.put(&made);
                return Ok(());
            }
            // The watch has not brought that version yet: perhaps it is this very job's, made before the operator was interrupted.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let there = api.get(&name).await.map_err(|error| Error::of(format!("get ModelVersion {name}"), &error))?;
                context.versions.put(&there);
                let own = context.versions.made_of(&owner.namespace, &register.model_name, &owner.uid, &published.digest);
                if own.is_some() {
                    return Ok(());
                }
                version += 1;
            }
            Err(error) => return Err(Error::of(format!("create ModelVersion {}/{name}", owner.namespace), &error)),
        }
    }
}

fn model_version(
    job: &ValidatedFineTuneJob,
    owner: &Owner,
    prepared: &PrepareReport,
    trained: Option<&TrainReport>,
    published: &temper_contract::report::PublishReport,
    version: u64,
) -> ModelVersion {
    temper_objects::model_version(job, owner, prepared, trained, published, version)
}

/// Where the model lies on the claim that was made for the job, the claim must outlive the job.
async fn keep_claim(context: &Context, job: &ValidatedFineTuneJob, owner: &Owner) -> Result<(), Error> {
    let name = names::run_claim(&owner.name);
    let is_there = context.families.has(&JobKey::from(owner), Kind::PersistentVolumeClaim);
    if !is_there || !Places::of(job, owner).model_uri().starts_with(&format!("pvc://{name}/")) {
        return Ok(());
    }
    let api: Api<PersistentVolumeClaim> = Api::namespaced(context.client.clone(), &owner.namespace);
    let patch = json!({ "metadata": { "ownerReferences": null } });
    let kept = api.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    kept.map(|_| ()).map_err(|error| Error::of(format!("keep PersistentVolumeClaim {}/{name} for the model", owner.namespace), &error))
}

/// Whether the job's Job of this name is there, asked of the server itself: a watch may be late.
pub async fn exists(context: &Context, owner: &Owner, job_name: &str) -> Result<bool, Error> {
    let api: Api<BatchJobEvent> = Api::namespaced(context.client.clone(), &owner.namespace);
    let found = api.get_opt(job_name).await;
    found
        .map(|found| found.is_some_and(|found| BatchJob::from(found).is_of(&owner.uid)))
        .map_err(|error| Error::of(format!("get Job {}/{job_name}", owner.namespace), &error))
}

#[cfg(test)]
mod tests;
