//! A small HTTP server for probes and metrics.

use super::Health;
use crate::clock::Moment;
use crate::metrics::Metrics;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Probes and a few Prometheus servers; more wait.
const CONNECTIONS: usize = 32;
/// A connection that asks nothing for so long is closed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Larger than any probe's request.
const BUFFER: usize = 16 * 1024;
/// What Prometheus calls its text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, health: Health, metrics: Arc<Metrics>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection of a probe");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let (health, metrics) = (health.clone(), Arc::clone(&metrics));
        tokio::spawn(async move {
            let _slot = slot;
            let service = service_fn(|request| {
                let answer = answer(&request, &health, &metrics);
                async { Ok::<_, Infallible>(answer) }
            });
            // A client that goes away is no news.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(BUFFER)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered\n".to_owned());
    }
    match request.uri().path() {
        "/livez" => probe(health.watchdog.verdict(Moment::now())),
        "/readyz" => probe(health.readiness.verdict()),
        "/metrics" => {
            let mut response = text(StatusCode::OK, metrics.text());
            response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(PROMETHEUS_TEXT));
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
    }
}

fn probe(verdict: Result<(), String>) -> Response<Full<Bytes>> {
    match verdict {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(reasons) => text(StatusCode::SERVICE_UNAVAILABLE, reasons),
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::serve;
    use crate::health::{Condition, Health};
    use crate::metrics::Metrics;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn start(health: Health) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(serve(listener, health, Arc::new(Metrics::new())));
        address
    }

    async fn ask(address: SocketAddr, first_line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("{first_line} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("it answers in text");
        text
    }

    #[tokio::test]
    async fn probes_say_what_is_wrong() {
        let health = Health::default();
        let address = start(health.clone()).await;
        let waiting = ask(address, "GET /readyz").await;
        assert!(waiting.starts_with("HTTP/1.1 503") && waiting.contains("crds: the API server was not asked yet"), "{waiting}");
        assert!(ask(address, "GET /livez").await.starts_with("HTTP/1.1 200"));
        health.readiness.met(Condition::Crds);
        assert!(ask(address, "GET /readyz").await.starts_with("HTTP/1.1 200"));
        health.watchdog.beat("a part", Duration::ZERO);
        let stuck = ask(address, "GET /livez").await;
        assert!(stuck.starts_with("HTTP/1.1 503") && stuck.contains("a part: not heard"), "{stuck}");
    }

    #[tokio::test]
    async fn metrics_are_text_and_the_rest_is_refused() {
        let address = start(Health::default()).await;
        let metrics = ask(address, "GET /metrics").await;
        assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("\ntemper_operator_build_info{"), "{metrics}");
        assert!(ask(address, "GET /").await.starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /livez").await.starts_with("HTTP/1.1 405"));
    }

    #[tokio::test]
    async fn many_idle_connections_do_not_shut_a_probe_out_for_good() {
        let address = start(Health::default()).await;
        let idle = futures::future::join_all((0..super::CONNECTIONS).map(|_| TcpStream::connect(address))).await;
        let probe = tokio::spawn(async move { ask(address, "GET /livez").await });
        drop(idle);
        assert!(probe.await.expect("it ends").starts_with("HTTP/1.1 200"));
    }
}
