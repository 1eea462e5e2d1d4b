//! Asks the API server what it would make of an object, without making it.

use crate::cluster::access::Session;
use crate::cluster::preview::report::{Cause, Refusal};
use crate::exit::Stop;
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::request::Request;
use kube::discovery::ApiResource;
use serde_json::Value;

/// What the API server says.
pub(super) enum Answer {
    /// It would take it; the object as it would be.
    Accepted(Box<DynamicObject>),
    /// It would not.
    Refused(Refusal),
}

/// Creates an object, strictly: a field that the API server does not know is refused, not dropped.
pub(super) async fn create(session: &Session, resource: &ApiResource, namespace: &str, manifest: &Value) -> Result<Answer, Stop> {
    let what = format!("try a {} in namespace {namespace}", resource.kind);
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let url = <DynamicObject as kube::Resource>::url_path(resource, Some(namespace));
    let body = serde_json::to_vec(manifest).unwrap_or_default();
    let request = Request::new(url).create(&parameters, body).map_err(kube::Error::BuildRequest).and_then(strict);
    let request = request.map_err(|error| session.refused(&what, &error))?;
    answer(session, &what, session.client.request::<DynamicObject>(request)).await
}

/// Adds what `kube` has no parameter for.
fn strict(request: http::Request<Vec<u8>>) -> kube::Result<http::Request<Vec<u8>>> {
    let (mut parts, body) = request.into_parts();
    let uri = format!("{}&fieldValidation=Strict", parts.uri);
    parts.uri = uri.parse().map_err(|error: http::uri::InvalidUri| kube::Error::HttpError(error.into()))?;
    Ok(http::Request::from_parts(parts, body))
}

/// Applies an object server-side, as the named field manager.
pub(super) async fn apply(
    session: &Session,
    resource: &ApiResource,
    namespace: &str,
    manifest: &Value,
    manager: &str,
    force: bool,
) -> Result<Answer, Stop> {
    let name = manifest.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let what = format!("try {} {name} in namespace {namespace}", resource.kind);
    let parameters = PatchParams { force, field_validation: Some(ValidationDirective::Strict), ..PatchParams::apply(manager).dry_run() };
    let api: Api<DynamicObject> = Api::namespaced_with(session.client.clone(), namespace, resource);
    answer(session, &what, api.patch(name, &parameters, &Patch::Apply(manifest))).await
}

async fn answer(session: &Session, what: &str, asked: impl Future<Output = kube::Result<DynamicObject>>) -> Result<Answer, Stop> {
    // Waiting and trouble on the way are the session's to tell; what the API server says of the object is an answer.
    let answer = session.ask(what, async {
        match asked.await {
            Ok(object) => Ok(Answer::Accepted(Box::new(object))),
            Err(kube::Error::Api(status)) if is_answer(&status) => Ok(Answer::Refused(refusal(&status))),
            Err(error) => Err(error),
        }
    });
    answer.await
}

/// Whether a status is about the object, rather than about who asks or how the server is.
fn is_answer(status: &kube::core::Status) -> bool {
    let is_of_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty() || !details.causes.is_empty());
    match status.code {
        400 | 409 | 413 | 422 => true,
        // Admission refuses by name; and a namespace may be missing.
        403 | 404 => is_of_object,
        500 => status.message.contains("admission webhook"),
        _ => false,
    }
}

fn refusal(status: &kube::core::Status) -> Refusal {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<Cause> = causes
        .filter(|cause| !cause.field.is_empty() && cause.field != "<nil>")
        .map(|cause| Cause { field: cause.field.clone(), message: cause.message.clone(), line: 0 })
        .collect();
    Refusal { message: status.message.clone(), causes }
}

#[cfg(test)]
mod tests {
    use super::{is_answer, refusal, strict};
    use kube::core::Status;
    use serde_json::json;

    fn status(value: serde_json::Value) -> Status {
        serde_json::from_value(value).expect("a status")
    }

    #[test]
    fn what_is_about_the_object_is_an_answer() {
        let quota =
            json!({ "code": 403, "message": "pods \"tiny-a0-0\" is forbidden: exceeded quota", "details": { "name": "tiny-a0-0" } });
        let rights =
            json!({ "code": 403, "message": "pods is forbidden: User \"eve\" cannot create resource", "details": { "kind": "pods" } });
        let kind = json!({ "code": 404, "message": "the server could not find the requested resource" });
        assert!(is_answer(&status(quota)) && !is_answer(&status(rights)) && !is_answer(&status(kind)));
        assert!(is_answer(&status(json!({ "code": 422, "message": "invalid" }))));
        assert!(!is_answer(&status(json!({ "code": 500, "message": "etcd is away" }))));
    }

    #[test]
    fn fields_keep_their_sentences() {
        let invalid = json!({
            "code": 422, "message": "FineTuneJob \"x\" is invalid: ...",
            "details": { "name": "x", "causes": [
                { "reason": "FieldValueInvalid", "field": "spec.dataset", "message": "Invalid value: \"object\": dataset cannot be changed" },
                { "reason": "FieldValueInvalid", "field": "<nil>", "message": "some validation rules were not checked" },
            ] },
        });
        let refusal = refusal(&status(invalid));
        assert_eq!(refusal.causes.len(), 1);
        assert_eq!((refusal.causes[0].field.as_str(), refusal.causes[0].message.contains("cannot be changed")), ("spec.dataset", true));
    }

    #[test]
    fn unknown_fields_are_refused() {
        let request = http::Request::post("/api/v1/namespaces/ml/pods?&dryRun=All").body(Vec::new()).expect("a request");
        assert_eq!(strict(request).expect("a URI").uri(), "/api/v1/namespaces/ml/pods?&dryRun=All&fieldValidation=Strict");
    }
}
