//! One request: fenced, timed and counted.

use super::request::Asked;
use super::transport::{BoxError, Connected, Patience};
use crate::clock::Moment;
use crate::leader::Fence;
use crate::metrics::Metrics;
use http::header::ACCEPT;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use kube::client::Body;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;
use tower::{Service, ServiceExt};
use tower_http::timeout::TimeoutBody;
use tracing::Instrument;

/// A write was refused here: this process may no longer be the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this replica may not lead any more, so it writes nothing")]
pub struct NotLeading;

/// Whether a request failed because the fence is shut. The cure is to wait: it opens again, or the process ends.
pub fn is_fenced(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(error) if has_refused(error.as_ref()))
}

/// Whether an error or what caused it says so.
fn has_refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // `source` of an I/O error skips the very error that it was made of.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<NotLeading>() || inner.is_some_and(|inner| inner.is::<NotLeading>()) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What `kube::Client` sends its requests through.
#[derive(Clone)]
pub(super) struct ApiService {
    reads: Connected,
    writes: Connected,
    fence: Option<Arc<Fence>>,
    patience: Patience,
    metrics: Arc<Metrics>,
}

impl ApiService {
    pub(super) const fn new(
        reads: Connected,
        writes: Connected,
        fence: Option<Arc<Fence>>,
        patience: Patience,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { reads, writes, fence, patience, metrics }
    }
}

impl Service<Request<Body>> for ApiService {
    type Response = Response<TimeoutBody<Incoming>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // `oneshot` below waits for the connections.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let asked = Asked::of(request.method(), request.uri(), request.headers());
        let (verb, writes, accepted) = (asked.verb, asked.writes, asked.accepted());
        let resource = asked.subresource.map_or_else(|| asked.resource.to_owned(), |part| format!("{}/{part}", asked.resource));
        let (metrics, fence) = (Arc::clone(&self.metrics), self.fence.clone().filter(|_| writes));
        if writes && self.fence.as_ref().is_some_and(|fence| !fence.admits(Moment::now())) {
            metrics.requested(verb, &resource, "fenced", None);
            return Box::pin(async { Err(NotLeading.into()) });
        }
        if let Some(accepted) = accepted {
            request.headers_mut().insert(ACCEPT, accepted);
        }
        let (service, limit) = if writes { (&self.writes, self.patience.write) } else { (&self.reads, self.patience.silence) };
        let request = if writes { bounded(request, limit) } else { request };
        let answer = service.clone().oneshot(request);
        let span = tracing::debug_span!("request", otel.kind = "client", verb, resource, outcome = tracing::field::Empty);
        let asking = async move {
            let sent = Moment::now();
            let answer = timeout(limit, answer).await.unwrap_or_else(|_| Err(NoAnswer(limit).into()));
            // HTTP/2 does not say what ended a connection that many requests share: the transport, which the fence stopped.
            let answer = match answer {
                Err(error) if !error.is::<NoAnswer>() && fence.is_some_and(|fence| !fence.admits(Moment::now())) => {
                    tracing::debug!("what the fence stopped: {error}");
                    Err(NotLeading.into())
                }
                answer => answer,
            };
            let outcome = match &answer {
                Ok(response) => response.status().as_str().to_owned(),
                Err(error) if error.is::<NoAnswer>() => "timeout".to_owned(),
                Err(error) if has_refused(error.as_ref()) => "fenced".to_owned(),
                Err(_) => "failed".to_owned(),
            };
            metrics.requested(verb, &resource, &outcome, Some(Moment::now().since(sent)));
            tracing::Span::current().record("outcome", &outcome);
            // A connection that many requests share may live while one answer stands still.
            answer.map(|answer| answer.map(|body| TimeoutBody::new(limit, body)))
        };
        Box::pin(asking.instrument(span))
    }
}

/// Tells the API server how long it may take, so that it does not carry out late what it had to let wait.
fn bounded(mut request: Request<Body>, limit: Duration) -> Request<Body> {
    let uri = request.uri();
    let separator = if uri.query().is_some() { '&' } else { '?' };
    let limited = format!("{}{separator}timeout={}ms", uri.path_and_query().map_or("/", PathAndQuery::as_str), limit.as_millis());
    if let Ok(path_and_query) = limited.parse::<PathAndQuery>() {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the API server did not answer within {0:?}")]
struct NoAnswer(Duration);
