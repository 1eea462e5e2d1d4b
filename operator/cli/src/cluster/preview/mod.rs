//! `temper plan --cluster`: what would become of a manifest, asked of the API server by dry runs.
//!
//! | Module | What it is |
//! |---|---|
//! | `built` | the objects that the operator would make, by its own functions |
//! | `dry_run`, `rights` | what the API server makes of them, and what may be asked |
//! | `named`, `look` | what the spec names, and whether it is there |
//! | `room` | whether machines have room for the pods |
//! | `report` | all of it, as a value |

mod built;
mod dry_run;
mod estimate;
mod look;
mod named;
pub mod report;
mod rights;
pub mod room;

use crate::arguments::PlanArgs;
use crate::cluster::access::{self, Session};
use crate::cluster::kind::Kind;
use crate::cluster::lookup;
use crate::exit::{Exit, Stop};
use crate::local::volumes::Volumes;
use crate::manifests::{self, Finding, JobManifest};
use crate::output::cluster::preview_text;
use crate::output::format;
use crate::output::terminal::Terminal;
use anyhow::Result;
use built::Part;
use dry_run::Answer;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use report::{Action, Made, Preview, Refusal, Verdict};
use rights::{Deed, Rights};
use serde_json::{Value, json};
use temper_crds::FineTuneJobStatus;
use temper_objects::names::FIELD_MANAGER;
use temper_objects::{Object, Owner};
use temper_planner::{Capabilities, ValidatedFineTuneJob, validate};

/// The field manager of whoever applies a manifest.
const PERSON: &str = "kubectl";
/// Stands for the UID of a job that is not there.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";

/// Shows what would become of the manifests.
///
/// # Errors
/// Where they are wrong, or the cluster cannot be asked.
pub fn run(arguments: &PlanArgs, terminal: Terminal) -> Result<Exit> {
    let manifests = manifests::read(&arguments.manifests.filename).map_err(|findings| manifests::refused(&findings))?;
    let mut findings: Vec<Finding> = Vec::new();
    let mut validated = Vec::new();
    for manifest in &manifests {
        match validate(&manifest.job, Capabilities::CLUSTER) {
            Ok(job) => validated.push((manifest, job)),
            Err(problems) => findings.extend(manifest.locate(problems)),
        }
        findings.extend(elsewhere(manifest, arguments.access.namespace.as_deref()));
    }
    if !findings.is_empty() {
        return Err(manifests::refused(&findings).into());
    }
    let previews = access::block_on(async {
        let session = Session::open(&arguments.access).await?;
        let mut previews = Vec::new();
        for (manifest, job) in &validated {
            let namespace = manifest.job.metadata.namespace.clone().unwrap_or_else(|| session.namespace.clone());
            let session = Session { namespace, ..session.clone() };
            previews.push(preview(&session, manifest, job, arguments).await?);
        }
        Ok(previews)
    })?;
    let machine = match previews.as_slice() {
        [one] => format::machine_text(arguments.output.output, one)?,
        several => format::machine_text(arguments.output.output, &several)?,
    };
    let text =
        machine.unwrap_or_else(|| previews.iter().map(|preview| preview_text::text(preview, terminal)).collect::<Vec<_>>().join("\n"));
    format::print(&text)?;
    Ok(if previews.iter().any(Preview::is_refused) { Exit::InvalidInput } else { Exit::Success })
}

/// A manifest for a namespace that is not the one asked for.
fn elsewhere(manifest: &JobManifest, namespace: Option<&str>) -> Option<Finding> {
    let own = manifest.job.metadata.namespace.as_deref()?;
    let asked = namespace.filter(|asked| *asked != own)?;
    Some(Finding {
        file: manifest.file.clone(),
        line: manifest.manifest.line_of("metadata.namespace"),
        field: "metadata.namespace".to_owned(),
        value: own.to_owned(),
        reason: format!("is not the namespace asked for: {asked}"),
        next_step: "leave out --namespace, or the field".to_owned(),
    })
}

async fn preview(session: &Session, manifest: &JobManifest, job: &ValidatedFineTuneJob, arguments: &PlanArgs) -> Result<Preview, Stop> {
    let mut found = Preview { job: job.name.clone(), namespace: session.namespace.clone(), ..Preview::default() };
    let existing = existing(session, &job.name).await?;
    let (action, answer) = apply_job(session, manifest, existing.as_ref()).await?;
    found.action = action;
    let mut rights = Rights::new(session);
    let uid = match answer {
        Answer::Accepted(object) => object.metadata.uid,
        Answer::Refused(refusal) => {
            found.refusal = Some(located(refusal, manifest));
            existing.as_ref().and_then(|object| object.metadata.uid.clone())
        }
    };
    let owner = Owner { namespace: session.namespace.clone(), name: job.name.clone(), uid: uid.unwrap_or_else(|| NO_UID.to_owned()) };
    let status = existing.as_ref().and_then(|object| serde_json::from_value::<FineTuneJobStatus>(object.data["status"].clone()).ok());
    let parts = built::parts(job, &owner, &status.unwrap_or_default(), arguments.pods_without_user);
    // What the operator would make of a refused job is of no interest: it never sees it.
    if found.refusal.is_none() {
        for part in &parts {
            try_part(session, &mut rights, part, &owner, &mut found).await?;
        }
    }
    (found.references, found.warnings) = look::references(session, &mut rights, job, &owner).await;
    if let Some(register) = &job.register {
        let version = look::next_version(session, &mut rights, &session.namespace, &register.model_name).await;
        let number = version.map_or_else(|| "vN".to_owned(), |version| format!("v{version}"));
        found.model_version = Some(format!("{}-{number}, stage {}", register.model_name, register.stage));
    }
    let (nodes, running) = look::machines(session, &mut rights).await;
    match (&nodes, built::training(&parts)) {
        (Some(nodes), Some((template, pods))) => found.room = Some(room::room(&template, pods, nodes, running.as_deref())),
        (None, _) => found.not_checked.push("whether machines have room: you may not list nodes".to_owned()),
        (_, None) => {}
    }
    let volumes = Volumes::new(&arguments.manifests.volume, &arguments.manifests.secret);
    match estimate::estimate(job, &owner, &volumes, nodes.as_deref().unwrap_or_default()) {
        Ok(memory) => found.memory = Some(memory),
        Err(why) => found.not_checked.push(format!("how much memory training takes: {why}")),
    }
    Ok(found)
}

async fn existing(session: &Session, name: &str) -> Result<Option<DynamicObject>, Stop> {
    let what = format!("get FineTuneJob {name} in namespace {}", session.namespace);
    session.ask(&what, lookup::api(session, Kind::FineTuneJob).get_opt(name)).await
}

/// Creates the job, or changes the one that is there.
async fn apply_job(session: &Session, manifest: &JobManifest, existing: Option<&DynamicObject>) -> Result<(Action, Answer), Stop> {
    let resource = Kind::FineTuneJob.api_resource();
    let mut sent = serde_json::to_value(&manifest.job).unwrap_or_default();
    sent["metadata"]["namespace"] = json!(session.namespace);
    let Some(existing) = existing else {
        return Ok((Action::Create, dry_run::create(session, &resource, &session.namespace, &sent).await?));
    };
    // What is in the manifest is what the person wants, whoever manages it now.
    let answer = dry_run::apply(session, &resource, &session.namespace, &sent, PERSON, true).await?;
    let is_same = matches!(&answer, Answer::Accepted(object) if object.metadata.generation == existing.metadata.generation);
    Ok((if is_same { Action::Nothing } else { Action::Change }, answer))
}

/// The API server's fields with the manifest's lines.
fn located(mut refusal: Refusal, manifest: &JobManifest) -> Refusal {
    refusal.causes.iter_mut().for_each(|cause| cause.line = manifest.manifest.line_of(&cause.field));
    refusal
}

/// Applies an object as the operator would, and of a Job its pods too: quotas, limits, classes and security rules are about pods.
async fn try_part(session: &Session, rights: &mut Rights<'_>, part: &Part, owner: &Owner, found: &mut Preview) -> Result<(), Stop> {
    let resource = resource(&part.object);
    let manifest = part.object.to_value();
    let made = |kind: &str, name: &str, count, (verdict, message): (Verdict, String), manifest: Value| Made {
        stage: part.stage.name().to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        count,
        verdict,
        message,
        manifest,
    };
    let deed = |verb| Deed { verb, group: &resource.group, resource: &resource.plural, namespace: Some(&owner.namespace), name: None };
    let verdict = if rights.allow(deed("create")).await && rights.allow(deed("patch")).await {
        judged(dry_run::apply(session, &resource, &owner.namespace, &manifest, FIELD_MANAGER, false).await?)
    } else {
        (Verdict::NotChecked, format!("you may not create {}; the operator may", resource.plural))
    };
    found.objects.push(made(part.object.kind(), part.object.name(), 1, verdict, manifest));
    let Object::Job(job) = &part.object else { return Ok(()) };
    let Some((pod, count)) = built::pod(job) else { return Ok(()) };
    let name = pod.metadata.name.clone().unwrap_or_default();
    let pods = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
    let manifest = built::pod_manifest(&pod);
    let create = Deed { verb: "create", group: "", resource: "pods", namespace: Some(&owner.namespace), name: None };
    let (verdict, message) = if rights.allow(create).await {
        judged(dry_run::create(session, &pods, &owner.namespace, &manifest).await?)
    } else {
        (Verdict::NotChecked, "you may not create pods; the Job controller may".to_owned())
    };
    let message = if message.is_empty() { pod.spec.as_ref().map(built::requests).unwrap_or_default() } else { message };
    found.objects.push(made("Pod", &name, count, (verdict, message), manifest));
    Ok(())
}

fn judged(answer: Answer) -> (Verdict, String) {
    match answer {
        Answer::Accepted(_) => (Verdict::Accepted, String::new()),
        Answer::Refused(refusal) => (Verdict::Refused, refusal.message),
    }
}

fn resource(object: &Object) -> ApiResource {
    use k8s_openapi::api::{batch, core, networking};
    match object {
        Object::ConfigMap(_) => ApiResource::erase::<core::v1::ConfigMap>(&()),
        Object::PersistentVolumeClaim(_) => ApiResource::erase::<core::v1::PersistentVolumeClaim>(&()),
        Object::NetworkPolicy(_) => ApiResource::erase::<networking::v1::NetworkPolicy>(&()),
        Object::Service(_) => ApiResource::erase::<core::v1::Service>(&()),
        Object::Job(_) => ApiResource::erase::<batch::v1::Job>(&()),
    }
}
