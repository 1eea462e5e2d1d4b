//! Failures in the API server's own words.

use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::json;

/// An answer of a status code with the `Status` object that the API server would send.
pub(super) fn answer(code: u16) -> Response<Full<Bytes>> {
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
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("the fault proxy answers {code}"), "reason": reason, "code": code,
    });
    let mut answer = Response::new(Full::from(status.to_string()));
    *answer.status_mut() = StatusCode::from_u16(code).expect("a test asks for a status code that exists");
    answer.headers_mut().insert("content-type", "application/json".parse().expect("a header value"));
    if code == 429 {
        answer.headers_mut().insert("retry-after", "1".parse().expect("a header value"));
    }
    answer
}
