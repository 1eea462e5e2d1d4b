//! What a request to the API server asks for, read from its method and path.

use http::{HeaderMap, HeaderValue, Method, Uri, header};

/// A request, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// What is done: `get`, `list`, `watch`, `create`, `update`, `patch`, `apply`, `delete`, `deletecollection`.
    pub(super) verb: &'static str,
    /// To what: the plural name of a resource, such as `jobs`.
    pub(super) resource: &'a str,
    /// The part of it, such as `status`.
    pub(super) subresource: Option<&'a str>,
    /// Whether it changes anything.
    pub(super) writes: bool,
}

impl<'a> Asked<'a> {
    /// Reads a request.
    pub(super) fn of(method: &Method, uri: &'a Uri, headers: &HeaderMap) -> Self {
        let (resource, name, subresource) = resource(uri.path());
        let verb = match *method {
            Method::GET | Method::HEAD if is_watch(uri.query().unwrap_or_default()) => "watch",
            Method::GET | Method::HEAD if name.is_none() && resource != OTHER => "list",
            Method::GET | Method::HEAD => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH if is_apply(headers) => "apply",
            Method::PATCH => "patch",
            Method::DELETE if name.is_none() => "deletecollection",
            Method::DELETE => "delete",
            _ => OTHER,
        };
        Self { verb, resource, subresource, writes: !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) }
    }

    /// What is to be answered instead of whole objects, where this program reads only their metadata: of the kinds that it only makes, and
    /// in answer to what it applies and to statuses.
    pub(super) fn accepted(&self) -> Option<HeaderValue> {
        let is_only_made = matches!(self.resource, "configmaps" | "networkpolicies" | "nodes" | "persistentvolumeclaims" | "services");
        match self.verb {
            "list" if is_only_made => Some(HeaderValue::from_static(METADATA_LIST)),
            "watch" if is_only_made => Some(HeaderValue::from_static(METADATA)),
            "apply" => Some(HeaderValue::from_static(METADATA)),
            "patch" if self.subresource == Some("status") => Some(HeaderValue::from_static(METADATA)),
            _ => None,
        }
    }
}

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

const OTHER: &str = "other";

/// Resource, name and subresource of a path.
fn resource(path: &str) -> (&str, Option<&str>, Option<&str>) {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let versions = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return (OTHER, None, None),
    };
    let mut parts = parts.skip(versions).peekable();
    let Some(mut plural) = parts.next() else { return (OTHER, None, None) };
    let mut name = parts.next();
    // `namespaces/NAME/RESOURCE` is about the resource in it; `namespaces/NAME` and `namespaces/NAME/status` are about the namespace.
    if plural == "namespaces" && parts.peek().is_some_and(|next| *next != "status" && *next != "finalize") {
        plural = parts.next().unwrap_or(OTHER);
        name = parts.next();
    }
    (plural, name, parts.next())
}

fn is_watch(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "watch"))
}

fn is_apply(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/apply-patch"))
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use http::{HeaderMap, Method, Uri, header};

    #[test]
    fn whole_objects_come_only_where_they_are_read() {
        let accepted = |method: Method, uri: &str, content: &str| {
            let target: Uri = uri.parse().expect("a URI");
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, content.parse().expect("a value"));
            let accepted = Asked::of(&method, &target, &headers).accepted();
            accepted.map(|value| value.to_str().expect("a text").split([';', ',']).nth(1).expect("a form").to_owned())
        };
        let (one, many) = (Some("as=PartialObjectMetadata".to_owned()), Some("as=PartialObjectMetadataList".to_owned()));
        assert_eq!(accepted(Method::GET, "/api/v1/configmaps?limit=100", ""), many);
        assert_eq!(accepted(Method::GET, "/api/v1/configmaps?watch=true", ""), one);
        assert_eq!(accepted(Method::GET, "/api/v1/pods?watch=true", ""), None);
        assert_eq!(accepted(Method::PATCH, "/apis/batch/v1/namespaces/a/jobs/b?", "application/apply-patch+yaml"), one);
        let job = "/apis/temper.dev/v1alpha1/namespaces/a/finetunejobs/b";
        assert_eq!(accepted(Method::PATCH, &format!("{job}/status?"), "application/merge-patch+json"), one);
        assert_eq!(accepted(Method::GET, job, ""), None);
    }

    #[test]
    fn requests_are_named_as_rbac_names_them() {
        let table = [
            (Method::GET, "/api/v1/pods?limit=500", "", "list", "pods", None, false),
            (Method::GET, "/api/v1/namespaces/a/pods/b", "", "get", "pods", None, false),
            (Method::GET, "/apis/batch/v1/jobs?&watch=true&timeoutSeconds=25", "", "watch", "jobs", None, false),
            (Method::GET, "/apis/temper.dev/v1alpha1", "", "get", "other", None, false),
            (Method::GET, "/version", "", "get", "other", None, false),
            (Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events?", "application/json", "create", "events", None, true),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/a/leases/b", "application/json", "update", "leases", None, true),
            (
                Method::PATCH,
                "/apis/batch/v1/namespaces/a/jobs/b?fieldManager=x",
                "application/apply-patch+yaml",
                "apply",
                "jobs",
                None,
                true,
            ),
            (
                Method::PATCH,
                "/apis/temper.dev/v1alpha1/namespaces/a/finetunejobs/b/status",
                "application/merge-patch+json",
                "patch",
                "finetunejobs",
                Some("status"),
                true,
            ),
            (Method::DELETE, "/api/v1/namespaces/a/services/b", "", "delete", "services", None, true),
            (Method::DELETE, "/api/v1/namespaces/a/pods", "", "deletecollection", "pods", None, true),
            (Method::GET, "/api/v1/namespaces/a", "", "get", "namespaces", None, false),
            (Method::PUT, "/api/v1/namespaces/a/status", "", "update", "namespaces", Some("status"), true),
        ];
        for (method, uri, content, verb, resource, subresource, writes) in table {
            let target: Uri = uri.parse().expect("a URI");
            let mut headers = HeaderMap::new();
            if !content.is_empty() {
                headers.insert(header::CONTENT_TYPE, content.parse().expect("a value"));
            }
            assert_eq!(Asked::of(&method, &target, &headers), Asked { verb, resource, subresource, writes }, "{method} {uri}");
        }
    }
}
