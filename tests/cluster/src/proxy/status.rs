//! Failures in the API server's own words.

use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

/// An answer of a status code with the `Status` object that the API server would send.
pub(super) fn answer(code: u16) -> Response<Full<Bytes>> {
    let mut answer = of(StatusCode::from_u16(code).expect("a test asks for a status code that exists"), failure(code).to_string());
    if code == 429 {
        answer.headers_mut().insert("retry-after", "1".parse().expect("a header value"));
    }
    answer
}

/// A watch that begins, and whose only event says that its version is too old: the API server never answers a watch with code 410 itself.
pub(super) fn expired() -> Response<Full<Bytes>> {
    of(StatusCode::OK, format!("{}\n", json!({ "type": "ERROR", "object": failure(410) })))
}

fn of(code: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = code;
    answer.headers_mut().insert("content-type", "application/json".parse().expect("a header value"));
    answer
}

fn failure(code: u16) -> Value {
    let reason = match code {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("the fault proxy answers {code}"), "reason": reason, "code": code,
    })
}
