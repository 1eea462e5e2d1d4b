//! What a server said when it refused, and what that means.

use crate::error::{Error, Kind};
use object_store::client::HttpError;
use std::cell::RefCell;
use std::error::Error as StdError;
use std::future::Future;

tokio::task_local! {
    /// The last refusal within one operation: `object_store`'s errors keep neither the status nor the server's error code.
    static LAST: RefCell<Option<Fault>>;
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fault {
    /// The HTTP status; 0 where no answer came.
    pub(super) status: u16,
    /// The store's name for it, such as `NoSuchBucket`.
    pub(super) code: Option<String>,
    /// The store's sentence.
    pub(super) message: Option<String>,
    /// Whether it came from a server that hands out credentials.
    pub(super) identity: bool,
}

/// Keeps a refusal for whoever runs the operation.
pub(super) fn note(fault: Fault) {
    // Outside of an operation (a client of another's) nobody asks for it.
    let _ = LAST.try_with(|last| last.replace(Some(fault)));
}

/// Runs one operation of a store; with its error comes the last refusal.
pub(super) async fn observed<T>(
    operation: impl Future<Output = object_store::Result<T>>,
) -> Result<T, (object_store::Error, Option<Fault>)> {
    LAST.scope(RefCell::new(None), async {
        let result = operation.await;
        result.map_err(|error| (error, LAST.with(RefCell::take)))
    })
    .await
}

/// The text of an XML element, in a document that is known to be small and flat.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let after = xml.split_once(&format!("<{name}>"))?.1;
    let text = after.split_once(&format!("</{name}>"))?.0;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&");
    let line = plain.lines().next().unwrap_or_default();
    Some(line.chars().filter(|character| !character.is_control()).take(300).collect())
}

/// Who asks, and for what, in the words of an error.
pub(super) struct Asked<'a> {
    /// The URI the user wrote, or that of one object.
    pub(super) uri: &'a str,
    /// The bucket's name.
    pub(super) bucket: &'a str,
    /// The Secret's name, if the credentials are from one.
    pub(super) secret: Option<&'a str>,
    /// Whether it is written, not read.
    pub(super) writing: bool,
    /// Whether it concerns the bucket as a whole.
    pub(super) whole_bucket: bool,
}

const CREDENTIAL_CODES: [&str; 9] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "AuthFailure",
    "UnrecognizedClientException",
];
const REGION_CODES: [&str; 3] = ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"];

/// The failure as this crate's error. Nothing of `object_store`'s own text is repeated: it holds request lines.
pub(super) fn explain(asked: &Asked<'_>, error: &object_store::Error, fault: Option<Fault>) -> Error {
    let fault = fault.unwrap_or_default();
    let code = fault.code.as_deref().unwrap_or_default();
    let said = said(&fault);
    let whose = asked.secret.map_or("this pod's own identity".to_owned(), |secret| format!("the credentials of the Secret {secret}"));
    if fault.identity || CREDENTIAL_CODES.contains(&code) || fault.status == 401 {
        let (reason, next_step) = match asked.secret {
            Some(secret) => (format!("the server does not accept {whose}{said}"), format!("put valid keys into the Secret {secret}")),
            None => (
                format!("there are no credentials that it accepts: no Secret is named, and the pod has no identity for it{said}"),
                "name a Secret with the keys in secretRef, or give the pod's service account access".to_owned(),
            ),
        };
        return Error::new(Kind::Credentials, asked.uri, reason, next_step);
    }
    let transport = transport(error);
    match fault.status {
        _ if REGION_CODES.contains(&code) || fault.status == 301 || fault.status == 307 => Error::invalid(
            asked.uri,
            format!("the bucket {} is in another region{said}", asked.bucket),
            "set the bucket's region in the Secret's key region",
        ),
        404 if asked.whole_bucket || code == "NoSuchBucket" || code == "ContainerNotFound" => Error::new(
            Kind::NotFound,
            asked.uri,
            format!("there is no bucket {}", asked.bucket),
            "correct the URI, or create the bucket; if it is on a server of your own, check the Secret's key endpoint",
        ),
        404 => Error::new(Kind::NotFound, asked.uri, "there is no such object", "correct the URI, or put the file there"),
        403 => {
            let grant = if asked.writing { "grant reading, writing and listing below that path" } else { "grant reading and listing" };
            let other = asked.secret.map(|secret| format!(", or put other keys into the Secret {secret}")).unwrap_or_default();
            Error::new(Kind::Denied, asked.uri, format!("access is denied to {whose}{said}"), format!("{grant} to them{other}"))
        }
        429 | 500.. => Error::new(
            Kind::Unreachable,
            asked.uri,
            format!("the server fails again and again{said}"),
            "try again later; if it stays so, look at the server",
        ),
        0 if transport.is_some() => Error::new(
            Kind::Unreachable,
            asked.uri,
            format!("the server cannot be reached: {}", transport.unwrap_or_default()),
            "check the network, the network policies and the Secret's key endpoint",
        ),
        0 => Error::invalid(asked.uri, crate::http::root_cause(error), "check the URI and the Secret's values"),
        _ => Error::invalid(asked.uri, format!("the server refuses the request{said}"), "check the URI and the Secret's values"),
    }
}

fn said(fault: &Fault) -> String {
    let words: Vec<String> = [
        (fault.status > 0).then(|| fault.status.to_string()),
        fault.code.clone(),
        fault.message.as_deref().map(|message| message.trim_end_matches('.').to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(" ")) }
}

/// What the network said, if it was the network.
pub(super) fn transport(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if current.downcast_ref::<HttpError>().is_some() {
            return Some(crate::http::root_cause(current));
        }
        cause = current.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Asked, Fault, element, explain};
    use crate::error::Kind;

    #[test]
    fn refusals_are_told_apart() {
        let fault = |status, code: &str| Fault { status, code: (!code.is_empty()).then(|| code.to_owned()), ..Fault::default() };
        let table = [
            (fault(404, "NoSuchBucket"), Kind::NotFound, "there is no bucket b"),
            (fault(404, ""), Kind::NotFound, "there is no such object"),
            (fault(403, "AccessDenied"), Kind::Denied, "access is denied to the credentials of the Secret keys (403 AccessDenied)"),
            (fault(403, "SignatureDoesNotMatch"), Kind::Credentials, "does not accept the credentials of the Secret keys"),
            (Fault { identity: true, ..fault(400, "") }, Kind::Credentials, "does not accept"),
            (fault(400, "AuthorizationHeaderMalformed"), Kind::Invalid, "in another region"),
            (fault(503, "SlowDown"), Kind::Unreachable, "(503 SlowDown)"),
            (fault(400, "InvalidArgument"), Kind::Invalid, "refuses the request"),
        ];
        let asked = Asked { uri: "s3://b/a", bucket: "b", secret: Some("keys"), writing: false, whole_bucket: false };
        let error = object_store::Error::Generic { store: "S3", source: "GET http://secret-in-a-query?sig=canary".into() };
        for (fault, kind, reason) in table {
            let explained = explain(&asked, &error, Some(fault));
            assert_eq!(explained.kind, kind, "{explained}");
            assert!(explained.to_string().starts_with("s3://b/a: ") && explained.reason.contains(reason), "{explained}");
            assert!(!explained.next_step.is_empty() && !explained.reason.contains("canary"), "{explained:?}");
        }
    }

    #[test]
    fn an_element_of_an_error_document_is_read() {
        let xml = "<?xml?><Error><Code>NoSuchKey</Code><Message>No &quot;a&quot; here\nStringToSign</Message></Error>";
        assert_eq!(element(xml, "Code").as_deref(), Some("NoSuchKey"));
        assert_eq!(element(xml, "Message").as_deref(), Some("No \"a\" here"));
        assert_eq!(element("not xml", "Code"), None);
    }
}
