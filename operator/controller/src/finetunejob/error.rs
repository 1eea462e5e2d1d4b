//! What can go wrong in carrying a plan out, and what to do about each kind.

use std::time::Duration;

/// Why a reconciliation did not get to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else changed the object first; what was planned may be out of date.
    #[error("failed to {action}: somebody else changed it first")]
    Conflict {
        /// What was tried.
        action: String,
    },
    /// It is too early: what an earlier job or attempt had is still going.
    #[error("cannot {action} yet: {until}")]
    Early {
        /// What was tried.
        action: String,
        /// What it waits for.
        until: String,
    },
    /// The API server refuses it: a right is missing, a quota is used up, an admission rule is in the way.
    #[error("failed to {action}: {message}")]
    Refused {
        /// What was tried.
        action: String,
        /// The API server's words.
        message: String,
    },
    /// The API server takes the request for nonsense. Trying again cannot help until something changes.
    #[error("failed to {action}: {message}")]
    Invalid {
        /// What was tried.
        action: String,
        /// The API server's words.
        message: String,
    },
    /// The API server does not answer, or is busy.
    #[error("failed to {action}: {message}")]
    Unreachable {
        /// What was tried.
        action: String,
        /// What was heard of it.
        message: String,
    },
}

impl Error {
    /// The error of an API call.
    pub fn of(action: impl Into<String>, error: &kube::Error) -> Self {
        let action = action.into();
        match error {
            kube::Error::Api(status) => {
                let message = status.message.clone();
                match status.code {
                    409 if is_claimed(status) => Self::Invalid { action, message: format!("{message}; {LET_GO}") },
                    409 => Self::Conflict { action },
                    401 | 403 => Self::Refused { action, message },
                    400 | 405 | 413 | 415 | 422 => Self::Invalid { action, message },
                    _ => Self::Unreachable { action, message },
                }
            }
            error => Self::Unreachable { action, message: error.to_string() },
        }
    }

    /// The kind in one word, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Early { .. } => "early",
            Self::Refused { .. } => "refused",
            Self::Invalid { .. } => "invalid",
            Self::Unreachable { .. } => "unreachable",
        }
    }

    /// How long to wait before trying again, after so many failures in a row before it.
    pub fn wait(&self, failures: u32) -> Duration {
        let (first, longest) = match self {
            // The watch is about to bring the newer object, which triggers by itself; this is for when it does not.
            Self::Conflict { .. } | Self::Early { .. } => (Duration::from_millis(200), Duration::from_secs(5)),
            Self::Unreachable { .. } => (Duration::from_millis(500), Duration::from_secs(30)),
            // Heals when somebody gives the right or the room; nobody tells us.
            Self::Refused { .. } | Self::Invalid { .. } => (Duration::from_secs(5), Duration::from_secs(60)),
        };
        first.saturating_mul(1 << failures.min(10)).min(longest)
    }

    /// Whether it may last, so that the status is to say it.
    pub const fn is_to_be_told(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Invalid { .. } | Self::Early { .. })
    }
}

/// What to do about fields that another field manager holds.
const LET_GO: &str = "have that manager let go of the fields, or delete the object where it holds no data: it is made again";

/// Whether a server-side apply met fields that another manager holds. Nobody has come first: it stays so until that manager lets go.
fn is_claimed(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
}

#[cfg(test)]
mod tests {
    use super::Error;
    use kube::core::Status;
    use serde_json::json;
    use std::time::Duration;

    fn api(code: u16) -> kube::Error {
        kube::Error::Api(Box::new(Status { code, message: "no".to_owned(), ..Status::default() }))
    }

    #[test]
    fn each_answer_has_its_kind() {
        let table = [
            (409, "conflict"),
            (403, "refused"),
            (401, "refused"),
            (422, "invalid"),
            (400, "invalid"),
            (429, "unreachable"),
            (500, "unreachable"),
            (504, "unreachable"),
        ];
        for (code, kind) in table {
            assert_eq!(Error::of("apply Job a/b", &api(code)).kind(), kind, "{code}");
        }
    }

    #[test]
    fn fields_of_another_manager_are_told() {
        let status: Status = serde_json::from_value(json!({
            "status": "Failure", "reason": "Conflict", "code": 409, "message": "Apply failed with 1 conflict: conflict with \"kubectl\": .spec.ports",
            "details": { "causes": [{ "reason": "FieldManagerConflict", "message": "conflict with \"kubectl\"", "field": ".spec.ports" }] },
        }))
        .expect("a status");
        let error = Error::of("apply Service a/b", &kube::Error::Api(Box::new(status)));
        assert!(error.is_to_be_told() && error.to_string().contains("conflict with \"kubectl\""), "{error}");
    }

    #[test]
    fn waits_grow_to_a_limit() {
        let error = Error::of("x", &api(500));
        assert_eq!(error.wait(0), Duration::from_millis(500));
        assert_eq!(error.wait(3), Duration::from_secs(4));
        assert_eq!(error.wait(u32::MAX), Duration::from_secs(30));
    }
}
