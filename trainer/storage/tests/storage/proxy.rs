//! A proxy before a store's server: tells what passes by, and breaks some of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request that passed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
}

/// What happens to a response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// So many bytes of the body, then the connection is closed.
    CutAfter(usize),
    /// The first byte of the body is another.
    WrongByte,
    /// This status instead of the response.
    Status(u16),
}

/// A request's header by its name.
pub(crate) type Headers<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Another way to say a request, for a server that does not know the first.
pub(crate) struct Translation {
    /// The target in place of a request's own, given its headers.
    pub(crate) target: fn(&Passed, &Headers<'_>) -> Option<String>,
    /// Header lines to add to its response, given the response.
    pub(crate) headers: fn(&Passed, &str) -> String,
}

type Before = dyn Fn(&Passed) + Send + Sync;
type After = dyn Fn(&Passed) -> Option<Fault> + Send + Sync;

pub(crate) struct Proxy {
    address: SocketAddr,
    passed: Arc<Mutex<Vec<Passed>>>,
}

impl Proxy {
    /// `before` runs before a request is passed on, `after` when its response is there.
    pub(crate) fn start(
        upstream: &str,
        before: impl Fn(&Passed) + Send + Sync + 'static,
        after: impl Fn(&Passed) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self::translate(upstream, None, before, after)
    }

    /// The same, with another way to say some requests.
    pub(crate) fn translate(
        upstream: &str,
        translation: Option<&'static Translation>,
        before: impl Fn(&Passed) + Send + Sync + 'static,
        after: impl Fn(&Passed) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let passed = Arc::new(Mutex::new(Vec::new()));
        let (seen, upstream) = (Arc::clone(&passed), upstream.to_owned());
        let (before, after): (Arc<Before>, Arc<After>) = (Arc::new(before), Arc::new(after));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, upstream, before, after) = (Arc::clone(&seen), upstream.clone(), Arc::clone(&before), Arc::clone(&after));
                std::thread::spawn(move || pass(&stream, &upstream, translation, &seen, before.as_ref(), after.as_ref()));
            }
        });
        Self { address, passed }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn passed(&self) -> Vec<Passed> {
        self.passed.lock().expect("sound").clone()
    }

    /// Requests of this method whose path ends so.
    pub(crate) fn count(&self, method: &str, end: &str) -> usize {
        self.passed().iter().filter(|passed| passed.method == method && passed.path.ends_with(end)).count()
    }
}

/// One request of one connection; the client opens another for the next.
fn pass(client: &TcpStream, upstream: &str, translation: Option<&Translation>, seen: &Mutex<Vec<Passed>>, before: &Before, after: &After) {
    let mut reader = BufReader::new(client);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(read) if read > 0 && !line.trim().is_empty() => lines.push(line.trim().to_owned()),
            _ => break,
        }
    }
    let Some(first) = lines.first() else { return };
    let header = |name: &str| {
        let found = lines.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.to_owned())
    };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let passed = Passed { method, path: target.split('?').next().unwrap_or_default().to_owned(), range: header("range") };
    let mut body = vec![0; header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    before(&passed);
    seen.lock().expect("sound").push(passed.clone());
    let Ok(mut server) = TcpStream::connect(upstream) else { return };
    let target = translation.and_then(|translation| (translation.target)(&passed, &header));
    let first = target.map_or(first.clone(), |target| format!("{} {target} HTTP/1.1", passed.method));
    let kept = lines[1..].iter().filter(|line| !line.to_lowercase().starts_with("connection:"));
    let head: String =
        std::iter::once(&first).chain(kept).map(|line| format!("{line}\r\n")).chain(["Connection: close\r\n\r\n".to_owned()]).collect();
    let mut response = Vec::new();
    let exchanged =
        server.write_all(head.as_bytes()).and_then(|()| server.write_all(&body)).and_then(|()| server.read_to_end(&mut response));
    if exchanged.is_err() {
        return;
    }
    if let (Some(translation), Some(line_end)) = (translation, response.windows(2).position(|window| window == b"\r\n")) {
        let more = (translation.headers)(&passed, &String::from_utf8_lossy(&response));
        response.splice(line_end + 2..line_end + 2, more.into_bytes());
    }
    let body_at = response.windows(4).position(|window| window == b"\r\n\r\n").map_or(response.len(), |at| at + 4);
    match after(&passed) {
        Some(Fault::CutAfter(length)) => response.truncate(body_at + length),
        Some(Fault::WrongByte) if body_at < response.len() => response[body_at] ^= 1,
        Some(Fault::Status(status)) => {
            response = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").into_bytes();
        }
        _ => {}
    }
    let mut client = client;
    // A client that has gone away has what it wants.
    let _ = client.write_all(&response);
}
