//! `temper suspend` and `temper resume`.

use crate::arguments::cluster::{ResumeArgs, SuspendArgs, WaitArgs};
use crate::cluster::access::{self, Session};
use crate::cluster::lookup;
use crate::cluster::resize::Size;
use crate::cluster::waiting;
use crate::exit::{Exit, Stop};
use crate::output::aside;
use crate::output::cluster::holding::Goal;
use crate::output::format;
use crate::program::Program;
use anyhow::Result;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use temper_crds::condition::{COMPLETE, ConditionStatus, FAILED};
use temper_crds::{Condition, FineTuneJob};

/// The field manager of what a person changes here.
const FIELD_MANAGER: &str = "temper";

/// Holds a job.
///
/// # Errors
/// Where it is not there, the change is refused, or waiting for it is in vain.
pub fn suspend(arguments: &SuspendArgs, program: Program) -> Result<Exit> {
    access::block_on(async {
        let session = Session::open(&arguments.access).await?;
        let job = lookup::job(&session, &arguments.name, program).await?;
        if let Some(condition) = finished(&job) {
            format::print(&format!("{} is finished ({}): nothing runs\n", arguments.name, condition.reason))?;
            return Ok(Exit::Success);
        }
        let job = if job.spec.suspend { job } else { change(&session, &job, json!({ "suspend": true }), "suspend").await? };
        wait(&session, &job, Goal::Suspended, &arguments.wait, program).await
    })
}

/// Lets a job go on.
///
/// # Errors
/// Where it is not there, is not suspended though its size is to change, the change is refused, or waiting for it is in vain.
pub fn resume(arguments: &ResumeArgs, program: Program) -> Result<Exit> {
    access::block_on(async {
        let session = Session::open(&arguments.access).await?;
        let job = lookup::job(&session, &arguments.name, program).await?;
        let size = Size { nodes: arguments.nodes, proc_per_node: arguments.proc_per_node };
        if let Some(condition) = finished(&job) {
            let message = format!("{} is finished ({}): it cannot go on", arguments.name, condition.reason);
            return Err(Stop::cluster(message, "create it anew, or under another name").into());
        }
        if size.is_empty() && !job.spec.suspend {
            aside::say(format_args!("{} is not suspended", arguments.name));
            return wait(&session, &job, Goal::Going, &arguments.wait, program).await;
        }
        let spec = resumed(&job, size, program)?;
        let job = change(&session, &job, spec, "resume").await?;
        wait(&session, &job, Goal::Going, &arguments.wait, program).await
    })
}

/// The fields that change.
fn resumed(job: &FineTuneJob, size: Size, program: Program) -> Result<Value, Stop> {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if size.is_empty() {
        return Ok(json!({ "suspend": false }));
    }
    if !job.spec.suspend {
        return Err(Stop::cluster(
            format!("{name} is not suspended: its size changes only while it is"),
            format!("suspend it first: {} suspend {name}", program.name()),
        ));
    }
    if let Some(problem) = size.problems(job).first() {
        return Err(Stop::invalid(
            format!("{name} cannot have this size: {}: {}", problem.path, problem.reason),
            problem.next_step.clone(),
        ));
    }
    let trainer = size.applied(job).spec.trainer;
    Ok(json!({ "suspend": false, "trainer": { "numNodes": trainer.num_nodes, "numProcPerNode": trainer.num_proc_per_node } }))
}

async fn change(session: &Session, job: &FineTuneJob, spec: Value, verb: &str) -> Result<FineTuneJob, Stop> {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if let Some(other) = manager_of_suspend(job.metadata.managed_fields.as_deref().unwrap_or_default()) {
        aside::say(format_args!("note: {other} manages spec.suspend and may set it back; change it there too"));
    }
    let jobs: Api<FineTuneJob> = Api::namespaced(session.client.clone(), &session.namespace);
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    // The UID stands guard: a job of the same name that was made since is another one.
    let patch = Patch::Merge(json!({ "metadata": { "uid": job.metadata.uid }, "spec": spec }));
    session.ask(&format!("{verb} {name} in namespace {}", session.namespace), jobs.patch(name, &parameters, &patch)).await
}

async fn wait(session: &Session, job: &FineTuneJob, goal: Goal, wait: &WaitArgs, program: Program) -> Result<Exit> {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    if wait.no_wait {
        let done = match goal {
            Goal::Suspended => "is asked to stop; its checkpoint is written and its pods end in the background",
            Goal::Going => "is asked to go on",
        };
        format::print(&format!("{name} {done}\n"))?;
        return Ok(Exit::Success);
    }
    waiting::until(session, job, goal, wait.timeout, program).await
}

fn finished(job: &FineTuneJob) -> Option<&Condition> {
    let conditions = job.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let is_end =
        |condition: &&Condition| (condition.type_ == COMPLETE || condition.type_ == FAILED) && condition.status == ConditionStatus::True;
    conditions.iter().find(is_end)
}

/// The program that applies manifests with `spec.suspend` in them, if there is one: it would apply them again.
fn manager_of_suspend(entries: &[ManagedFieldsEntry]) -> Option<&str> {
    let entry = entries.iter().find(|entry| {
        let has_field = entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer("/f:spec/f:suspend").is_some());
        let is_person = entry.manager.as_deref().is_none_or(|manager| manager.starts_with("kubectl") || manager == FIELD_MANAGER);
        has_field && !is_person && entry.operation.as_deref() == Some("Apply")
    });
    entry?.manager.as_deref()
}

#[cfg(test)]
mod tests {
    use super::manager_of_suspend;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
    use serde_json::json;

    #[test]
    fn whoever_applies_the_field_again_is_named() {
        let entry = |manager: &str, operation: &str, field: &str| -> ManagedFieldsEntry {
            serde_json::from_value(json!({
                "manager": manager, "operation": operation, "fieldsV1": { "f:spec": { field: {} } },
            }))
            .expect("an entry")
        };
        let flux = entry("kustomize-controller", "Apply", "f:suspend");
        assert_eq!(manager_of_suspend(std::slice::from_ref(&flux)), Some("kustomize-controller"));
        let others = [
            entry("kustomize-controller", "Apply", "f:dataset"),
            entry("kubectl-client-side-apply", "Update", "f:suspend"),
            entry("kubectl", "Apply", "f:suspend"),
            entry("temper", "Update", "f:suspend"),
        ];
        assert_eq!(manager_of_suspend(&others), None);
    }
}
