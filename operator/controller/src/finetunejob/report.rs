//! Tells what was decided: the status, written once and only if it changed, and then the events.

use super::context::Context;
use super::error::Error;
use super::status_patch::merge_patch;
use super::story::{Chapter, chapters};
use crate::FIELD_MANAGER;
use crate::watched::Marker;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::Event;
use serde_json::{Value, json};
use temper_crds::{API_VERSION, FineTuneJob, FineTuneJobStatus};
use temper_objects::Owner;

/// Writes the status, if it differs. The write names the version of the object that the decision was made on, so that a decision on stale
/// facts is refused instead of overwriting a newer one.
pub async fn write(
    context: &Context,
    job: &FineTuneJob,
    owner: &Owner,
    before: &FineTuneJobStatus,
    after: &FineTuneJobStatus,
) -> Result<(), Error> {
    let Some(change) = change(before, after) else { return Ok(()) };
    // Only the version is read of the answer.
    let api: Api<Marker<FineTuneJob>> = Api::namespaced(context.client.clone(), &owner.namespace);
    let patch = json!({ "metadata": { "resourceVersion": job.metadata.resource_version }, "status": change });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let written = api.patch_status(&owner.name, &params, &Patch::Merge(&patch)).await;
    let written =
        written.map_err(|error| Error::of(format!("write the status of FineTuneJob {}/{}", owner.namespace, owner.name), &error))?;
    context.superseded.note(&owner.uid, job.metadata.resource_version.as_deref(), written.metadata.resource_version.as_deref());
    for chapter in chapters(before, after) {
        tell(context, job, owner, &chapter).await;
    }
    Ok(())
}

/// What is to be sent; `None` where nothing changed.
fn change(before: &FineTuneJobStatus, after: &FineTuneJobStatus) -> Option<Value> {
    if before == after {
        return None;
    }
    // Plain data with finite numbers: both always serialise.
    let (before, after) = (serde_json::to_value(before).ok()?, serde_json::to_value(after).ok()?);
    merge_patch(&before, &after)
}

/// Publishes an event. One that is lost is only logged: the status says the same.
async fn tell(context: &Context, job: &FineTuneJob, owner: &Owner, chapter: &Chapter) {
    let reference = ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some("FineTuneJob".to_owned()),
        namespace: Some(owner.namespace.clone()),
        name: Some(owner.name.clone()),
        uid: job.metadata.uid.clone(),
        ..ObjectReference::default()
    };
    let event = Event {
        type_: chapter.type_(),
        reason: chapter.reason.clone(),
        note: Some(chapter.note.clone()),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = context.recorder.publish(&event, &reference).await {
        tracing::warn!(namespace = owner.namespace, name = owner.name, reason = chapter.reason, "failed to publish an event: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::change;
    use serde_json::json;
    use temper_crds::FineTuneJobStatus;

    #[test]
    fn an_unchanged_status_is_not_sent() {
        let status = FineTuneJobStatus { restarts: 2, ..FineTuneJobStatus::default() };
        assert_eq!(change(&status, &status), None);
        let more = FineTuneJobStatus { restarts: 3, ..status.clone() };
        assert_eq!(change(&status, &more), Some(json!({ "restarts": 3 })));
    }
}
