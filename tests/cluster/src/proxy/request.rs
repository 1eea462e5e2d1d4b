//! What a request to the API server is about, read from its method and path as the API server reads them.

use http::request::Parts;
use http::{Method, Version};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// One object.
    Get,
    /// Many objects.
    List,
    /// Changes from now on.
    Watch,
    /// A new object.
    Create,
    /// A whole object in place of another.
    Update,
    /// A change, server-side apply among them.
    Patch,
    /// The end of one object.
    Delete,
    /// The end of many.
    DeleteCollection,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub verb: Verb,
    /// Empty for the core group.
    pub group: String,
    /// `jobs`, `finetunejobs`, ...; empty for what is no resource (`/version`, discovery).
    pub resource: String,
    /// `status`, `binding`, ...; empty for the object itself.
    pub subresource: String,
    /// Empty for what has none.
    pub namespace: String,
    /// Empty where many objects are asked for, and where one is created.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// In which version of HTTP it is asked.
    pub version: Version,
}

impl Request {
    /// Reads it.
    pub(super) fn read(parts: &Parts) -> Self {
        let mut request = Self {
            verb: Verb::Get,
            group: String::new(),
            resource: String::new(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            uri: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            version: parts.version,
        };
        let mut names: Vec<&str> = parts.uri.path().split('/').filter(|name| !name.is_empty()).collect();
        // /api/v1/... for the core group, /apis/GROUP/VERSION/... for the others.
        let before = match names.first() {
            Some(&"api") => 2,
            Some(&"apis") => 3,
            _ => names.len(),
        };
        if names.first() == Some(&"apis") && names.len() > 2 {
            request.group = names[1].to_owned();
        }
        names.drain(..before.min(names.len()));
        // `namespaces/X` before a resource is its namespace; alone it is the object.
        if names.first() == Some(&"namespaces") && names.len() > 2 && !matches!(names[2], "status" | "finalize") {
            request.namespace = names[1].to_owned();
            names.drain(..2);
        }
        for (field, name) in [&mut request.resource, &mut request.name, &mut request.subresource].into_iter().zip(names) {
            *field = name.to_owned();
        }
        request.verb = verb(&parts.method, parts.uri.query().unwrap_or_default(), &request);
        request
    }

    /// Whether it asks for a change.
    pub fn is_write(&self) -> bool {
        !matches!(self.verb, Verb::Get | Verb::List | Verb::Watch)
    }
}

fn verb(method: &Method, query: &str, request: &Request) -> Verb {
    let many = request.name.is_empty();
    match *method {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE if many => Verb::DeleteCollection,
        Method::DELETE => Verb::Delete,
        _ if query.split('&').any(|setting| matches!(setting, "watch=true" | "watch=1")) => Verb::Watch,
        _ if many && !request.resource.is_empty() => Verb::List,
        _ => Verb::Get,
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, Verb};

    #[test]
    fn requests_are_read_as_the_api_server_reads_them() {
        let read = |method: &str, uri: &str| {
            let (parts, ()) = http::Request::builder().method(method).uri(uri).body(()).expect("a request").into_parts();
            let request = Request::read(&parts);
            let text = [request.group, request.resource, request.namespace, request.name, request.subresource].join(" ");
            (request.verb, text)
        };
        let table = [
            ("GET", "/version", Verb::Get, "    "),
            ("GET", "/apis/batch/v1", Verb::Get, "batch    "),
            ("GET", "/api/v1/pods?limit=5", Verb::List, " pods   "),
            ("GET", "/api/v1/namespaces/x", Verb::Get, " namespaces  x "),
            ("GET", "/apis/batch/v1/namespaces/x/jobs?&watch=true&allowWatchBookmarks=true", Verb::Watch, "batch jobs x  "),
            ("POST", "/apis/batch/v1/namespaces/x/jobs?", Verb::Create, "batch jobs x  "),
            ("PATCH", "/apis/temper.dev/v1alpha1/namespaces/x/finetunejobs/a/status", Verb::Patch, "temper.dev finetunejobs x a status"),
            ("PUT", "/apis/coordination.k8s.io/v1/namespaces/x/leases/a", Verb::Update, "coordination.k8s.io leases x a "),
            ("DELETE", "/api/v1/namespaces/x/pods/a", Verb::Delete, " pods x a "),
            ("DELETE", "/api/v1/namespaces/x/pods?labelSelector=a", Verb::DeleteCollection, " pods x  "),
            ("PUT", "/api/v1/namespaces/x/finalize", Verb::Update, " namespaces  x finalize"),
        ];
        for (method, uri, verb, text) in table {
            assert_eq!(read(method, uri), (verb, text.to_owned()), "{method} {uri}");
        }
    }
}
