//! `/metrics` over HTTP, on a thread of its own. However slow or many its clients are, it takes a bounded amount of memory and nothing of
//! training's time.

use super::Metrics;
use crate::failure::{Failure, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// Clients that are answered at the same time; further ones wait.
const CLIENTS: usize = 16;
/// A client that takes longer to ask and to read the answer is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until it is dropped.
pub(crate) struct Exporter {
    #[cfg(test)]
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens on every address, as a scraper in another pod needs. Somebody asked for this port, so a taken one is an error.
    pub(crate) fn start(port: u16, metrics: Arc<Metrics>) -> Result<Self> {
        Self::start_patiently(port, metrics, PATIENCE)
    }

    fn start_patiently(port: u16, metrics: Arc<Metrics>, patience: Duration) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Failure::invalid(
                format!("failed to serve metrics on port {port} ({}): {error}", temper_contract::env::METRICS_PORT),
                "choose ports that are free (the number given plus one for each further rank), or 0 to serve none",
            )
        };
        let listener = listen(port).map_err(failed)?;
        #[cfg(test)]
        let port = listener.local_addr().map_err(failed)?.port();
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, metrics, patience) => {}
                    // Whoever drops the sender says the same.
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(serve).map_err(failed)?;
        Ok(Self {
            #[cfg(test)]
            port,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been logged; nothing depends on the thread's end.
            let _ = thread.join();
        }
    }
}

/// IPv6 with IPv4 where the system has both, else what it has.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
}

async fn serve(listener: TcpListener, metrics: Arc<Metrics>, patience: Duration) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::warn!("metrics are not served: {error}"),
    };
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, for instance: look again when some may be free.
                tracing::warn!("failed to accept a client of the metrics: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let metrics = Arc::clone(&metrics);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let response = answer(&request, &metrics);
                async { Ok::<_, Infallible>(response) }
            });
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).keep_alive(false).serve_connection(TokioIo::new(stream), answer);
            // A scraper that has hung up, or does not read, is no concern of training.
            let _ = tokio::time::timeout(patience, connection).await;
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, metrics.text()),
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "ok\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
    };
    let response = Response::builder().status(status).header(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    response.body(Full::from(text)).expect("constant headers are valid")
}

#[cfg(test)]
mod tests {
    use super::{CLIENTS, Exporter};
    use crate::metrics::Metrics;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::time::Duration;
    use temper_contract::ExitCode;

    fn get(port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new("job", 0, 0, 0, tch::Device::Cpu).expect("names are valid"))
    }

    #[test]
    fn serves_metrics_and_refuses_a_taken_port() {
        let exporter = Exporter::start(0, metrics()).expect("a free port");
        assert!(get(exporter.port, "/metrics").contains("temper_training_step{"));
        assert!(get(exporter.port, "/else").starts_with("HTTP/1.1 404"));
        let failure = Exporter::start(exporter.port, metrics()).err().expect("the port is taken");
        assert_eq!(failure.reason, ExitCode::InvalidInput);
        assert!(failure.message.contains(&exporter.port.to_string()), "{failure}");
    }

    #[test]
    fn clients_that_ask_for_nothing_hold_up_others_for_a_bounded_time() {
        let exporter = Exporter::start_patiently(0, metrics(), Duration::from_millis(100)).expect("a free port");
        let idle: Vec<TcpStream> =
            (0..2 * CLIENTS).map(|_| TcpStream::connect(("127.0.0.1", exporter.port)).expect("it listens")).collect();
        // Answered once enough of those before it have been left.
        assert!(get(exporter.port, "/metrics").contains("temper_training_step{"));
        drop(idle);
    }

    #[test]
    fn an_exporter_that_is_dropped_leaves_its_clients() {
        let exporter = Exporter::start(0, metrics()).expect("a free port");
        let mut idle = TcpStream::connect(("127.0.0.1", exporter.port)).expect("it listens");
        drop(exporter);
        // Closed or reset, but not left hanging.
        let _ = idle.read(&mut [0]);
    }
}
