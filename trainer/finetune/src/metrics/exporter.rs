//! `/metrics` over HTTP, on a thread of its own.

use super::Metrics;
use crate::failure::{Failure, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use tiny_http::{Header, Method, Response, Server};

/// Serves until it is dropped.
pub(crate) struct Exporter {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Listens on every address, as a scraper in another pod needs. Somebody asked for this port, so a taken one is an error.
    pub(crate) fn start(port: u16, metrics: Arc<Metrics>) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let server = Server::http(address).map_err(|error| {
            Failure::invalid(
                format!("failed to serve metrics on port {port} ({}): {error}", temper_contract::env::METRICS_PORT),
                "choose ports that are free (the number given plus one for each further rank), or 0 to serve none",
            )
        })?;
        let server = Arc::new(server);
        let thread = std::thread::spawn({
            let server = Arc::clone(&server);
            move || answer(&server, &metrics)
        });
        Ok(Self { server, thread: Some(thread) })
    }

    #[cfg(test)]
    fn port(&self) -> u16 {
        self.server.server_addr().to_ip().expect("it listens on an address").port()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            // A panic there has been logged; nothing depends on the thread's end.
            let _ = thread.join();
        }
    }
}

fn answer(server: &Server, metrics: &Metrics) {
    for request in server.incoming_requests() {
        let path = request.url().split('?').next().unwrap_or_default();
        let response = match (request.method(), path) {
            (Method::Get | Method::Head, "/metrics") => Response::from_string(metrics.text()).with_header(content_type()),
            (Method::Get | Method::Head, "/healthz") => Response::from_string("ok\n"),
            _ => Response::from_string("metrics are at /metrics\n").with_status_code(404),
        };
        // A scraper that has hung up is no concern of training.
        let _ = request.respond(response);
    }
}

fn content_type() -> Header {
    Header::from_bytes("Content-Type", "text/plain; version=0.0.4; charset=utf-8").expect("constant ASCII")
}

#[cfg(test)]
mod tests {
    use super::Exporter;
    use crate::metrics::Metrics;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::sync::Arc;
    use temper_contract::ExitCode;

    fn get(port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }

    #[test]
    fn serves_metrics_and_refuses_a_taken_port() {
        let metrics = Arc::new(Metrics::new("job", 0, tch::Device::Cpu).expect("names are valid"));
        let exporter = Exporter::start(0, Arc::clone(&metrics)).expect("a free port");
        assert!(get(exporter.port(), "/metrics").contains("temper_training_step{"));
        assert!(get(exporter.port(), "/else").starts_with("HTTP/1.1 404"));
        let failure = Exporter::start(exporter.port(), metrics).err().expect("the port is taken");
        assert_eq!(failure.reason, ExitCode::InvalidInput);
        assert!(failure.message.contains(&exporter.port().to_string()), "{failure}");
    }
}
