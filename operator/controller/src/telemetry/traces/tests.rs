use super::Traces;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;
use tracing_subscriber::layer::SubscriberExt;

/// Takes one request, and gives its first line and its body.
fn collector() -> (String, thread::JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let taken = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut reader = BufReader::new(stream);
        let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
        reader.read_line(&mut first).expect("a request");
        while reader.read_line(&mut line).expect("headers") > 2 {
            let (name, value) = line.split_once(':').expect("a header");
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a number");
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").expect("the client waits for it");
        (first, body)
    });
    (endpoint, taken)
}

#[test]
fn spans_reach_the_collector_with_their_fields_and_who_sent_them() {
    // As `main` does.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (endpoint, taken) = collector();
    let traces = Traces::to(Some(&endpoint), Some("operator-0")).expect("an exporter");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
        let _reconcile = tracing::info_span!("reconcile", job = "default/listings").entered();
        let _request = tracing::debug_span!("request", resource = "jobs").entered();
        tracing::debug_span!(target: "hyper", "somebody else's").in_scope(|| {});
    });
    traces.end();
    let (first, body) = taken.join().expect("the collector was asked");
    assert_eq!(first.trim_end(), "POST /v1/traces HTTP/1.1");
    // Protocol buffers hold text as it is.
    let text = String::from_utf8_lossy(&body);
    for part in ["reconcile", "default/listings", "request", "jobs", "temper-operator", "operator-0"] {
        assert!(text.contains(part), "{part} is not in {text:?}");
    }
    assert!(!text.contains("somebody else's"), "{text:?}");
}

#[test]
fn nothing_is_sent_unless_asked_for() {
    let traces = Traces::to(None, Some("operator-0")).expect("nothing to do");
    assert!(traces.layer::<tracing_subscriber::Registry>().is_none());
    traces.end();
}
