//! The API server's own record of who asked it for what.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

/// One request, as the audit log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditedRequest {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// What was asked for, with its query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// How the client calls itself.
    pub user_agent: String,
    /// Who it is.
    pub user: AuditedUser,
    /// What it is about.
    pub object_ref: AuditedObject,
    /// What was answered.
    pub response_status: AuditedStatus,
    /// When the server had the request.
    pub request_received_timestamp: Option<Timestamp>,
    /// When the server had answered it (for a watch: when it began to).
    pub stage_timestamp: Option<Timestamp>,
    /// `ResponseStarted` or `ResponseComplete`.
    pub stage: String,
}

/// Who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AuditedUser {
    /// `system:serviceaccount:NAMESPACE:NAME` for a service account.
    pub username: String,
}

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditedObject {
    /// `jobs`, `finetunejobs`, ...
    pub resource: String,
    /// `status`, ...; empty where it is the object itself.
    pub subresource: String,
    /// Empty where the resource has none, or where all are asked for.
    pub namespace: String,
    /// Empty where many objects are asked for, and where one is created.
    pub name: String,
    /// Empty for the core group.
    pub api_group: String,
}

/// What was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AuditedStatus {
    /// The HTTP status code.
    pub code: u16,
}

impl AuditedRequest {
    /// Whether it asks for a change.
    pub fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }
}

/// The audit log of a control plane. The API server writes a line when it has answered, so the last answers that a client has may be
/// missing for a moment: wait for a count, or let time-critical reads follow a request of one's own.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

impl AuditLog {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The requests so far that `wanted` picks, in the order of their answers. A watch counts once, from its start.
    ///
    /// # Panics
    /// When the log is not there or holds what is no audit event.
    pub fn requests(&self, wanted: impl Fn(&AuditedRequest) -> bool) -> Vec<AuditedRequest> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        parse(&text).into_iter().filter(wanted).collect()
    }
}

fn parse(text: &str) -> Vec<AuditedRequest> {
    // A last line without its end is still being written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let events = whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the audit event {line}")));
    let counts = |request: &AuditedRequest| request.stage == if request.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
    events.filter(counts).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_request_counts_once_and_a_half_written_line_not_at_all() {
        let log = r#"{"stage":"ResponseStarted","verb":"watch","user":{"username":"a"},"objectRef":{"resource":"pods","namespace":"x"}}
{"stage":"ResponseComplete","verb":"watch","user":{"username":"a"},"objectRef":{"resource":"pods","namespace":"x"}}
{"stage":"ResponseComplete","verb":"get","requestURI":"/readyz","user":{"username":"b"},"responseStatus":{"metadata":{},"code":200}}
{"stage":"ResponseComplete","verb":"patch","user":{"username":"a"},"objectRef":{"resource":"pods","subresource":"status","name":"p"}}
{"stage":"ResponseComplete","verb":"cre"#;
        let requests = parse(log);
        let verbs: Vec<_> = requests.iter().map(|request| (request.verb.as_str(), request.is_write())).collect();
        assert_eq!(verbs, [("watch", false), ("get", false), ("patch", true)]);
        assert_eq!((requests[1].response_status.code, requests[2].object_ref.subresource.as_str()), (200, "status"));
    }
}
