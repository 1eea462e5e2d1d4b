//! A server of the hub's HTTP API: the API and small files on one port, large files behind a redirect to another.

use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// The commit of every file.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// A part of each redirect's address that nobody may see.
pub const SIGNATURE: &str = "canary-signature";

/// What goes wrong with the next request for a path.
#[derive(Clone, Debug)]
pub enum Fault {
    /// So many bytes of the body, then the connection is closed.
    CutAfter(usize),
    /// So many bytes of the body, then nothing more until the client is gone.
    HoldAfter(usize),
    /// The first byte of the body is another.
    WrongByte,
    /// The whole file, though a part was asked for.
    IgnoreRange,
    /// This status, with these header lines.
    Status(u16, &'static str),
}

/// A request that was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whether it came to the address behind the redirects.
    pub at_large_files: bool,
    /// Its path, without the query.
    pub path: String,
    /// Its `Range`.
    pub range: Option<String>,
    /// Its `Authorization`.
    pub authorization: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    token: Option<&'static str>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    always: BTreeMap<String, Fault>,
    seen: Vec<Seen>,
    large_address: Option<SocketAddr>,
}

/// The hub.
#[derive(Debug)]
pub struct HubServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    held: Receiver<()>,
}

/// Files of at least this length are large ones.
const LARGE: usize = 1000;

impl HubServer {
    /// Serves these files as model `o/n` and data set `o/n`.
    pub fn start(files: &[(&str, Vec<u8>)]) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let (api, large) = (listen(), listen());
        let address = api.local_addr().expect("it is bound");
        let state = State {
            files: files.iter().map(|(name, content)| ((*name).to_owned(), content.clone())).collect(),
            large_address: Some(large.local_addr().expect("it is bound")),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let (holding, held) = channel();
        for (listener, at_large_files) in [(api, false), (large, true)] {
            let (state, holding) = (Arc::clone(&state), holding.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (state, holding) = (Arc::clone(&state), holding.clone());
                    std::thread::spawn(move || serve(&stream, &state, at_large_files, &holding));
                }
            });
        }
        Self { address, state, held }
    }

    /// Its address, for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers only who has this token.
    pub fn requires(&self, token: &'static str) {
        self.state().token = Some(token);
    }

    /// The next request for a path that ends so goes wrong.
    pub fn once(&self, path: &str, fault: Fault) {
        self.state().faults.entry(path.to_owned()).or_default().push_back(fault);
    }

    /// Every request for a path that ends so goes wrong.
    pub fn always(&self, path: &str, fault: Fault) {
        self.state().always.insert(path.to_owned(), fault);
    }

    /// A file has another content from now on.
    pub fn replace(&self, name: &str, content: Vec<u8>) {
        self.state().files.insert(name.to_owned(), content);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Requests for large files.
    pub fn seen_at_large_files(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.at_large_files).collect()
    }

    /// Waits until a response is held back.
    pub fn wait_until_held(&self) {
        self.held.recv().expect("the server lives");
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test thread panicked with it")
    }
}

/// The SHA-256 of a content, in hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Git's own name for a content.
fn blob_id(content: &[u8]) -> String {
    use sha1::Sha1;
    let digest = Sha1::new().chain_update(format!("blob {}\0", content.len())).chain_update(content).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn serve(stream: &TcpStream, state: &Mutex<State>, at_large_files: bool, holding: &Sender<()>) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let Some(target) = lines.first().and_then(|line| line.split(' ').nth(1)) else { return };
    let header = |name: &str| {
        let found = lines.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.to_owned())
    };
    let (path, range, authorization) = (target.split('?').next().unwrap_or(target).to_owned(), header("range"), header("authorization"));
    let (response, fault) = {
        let mut state = state.lock().expect("no test thread panicked with it");
        state.seen.push(Seen { at_large_files, path: path.clone(), range: range.clone(), authorization: authorization.clone() });
        let queued = state.faults.iter_mut().find(|(end, queue)| path.ends_with(*end) && !queue.is_empty());
        let fault = queued.and_then(|(_, queue)| queue.pop_front());
        let fault = fault.or_else(|| state.always.iter().find(|(end, _)| path.ends_with(*end)).map(|(_, fault)| fault.clone()));
        let is_let_in = at_large_files || state.token.is_none_or(|token| authorization.as_deref() == Some(&format!("Bearer {token}")));
        let response = if is_let_in { respond(&state, &path, at_large_files) } else { Response::status(401, "") };
        (response, fault)
    };
    response.send(stream, range.as_deref(), fault, holding);
}

struct Response {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Response {
    fn status(status: u16, headers: &str) -> Self {
        Self { status, headers: headers.to_owned(), body: Vec::new() }
    }

    fn send(mut self, mut stream: &TcpStream, range: Option<&str>, fault: Option<Fault>, holding: &Sender<()>) {
        let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        match (from, &fault) {
            (_, Some(Fault::IgnoreRange)) | (None, _) => {}
            (Some(from), _) if self.status == 200 && from < self.body.len() => {
                self.headers += &format!("Content-Range: bytes {from}-{}/{}\r\n", self.body.len() - 1, self.body.len());
                self.body.drain(..from);
                self.status = 206;
            }
            (Some(_), _) => {}
        }
        if let Some(Fault::Status(status, headers)) = fault {
            self = Self::status(status, headers);
        }
        if let (Some(Fault::WrongByte), Some(byte)) = (&fault, self.body.first_mut()) {
            *byte ^= 1;
        }
        let head =
            format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n", self.status, self.body.len(), self.headers);
        let sent = match fault {
            Some(Fault::CutAfter(length) | Fault::HoldAfter(length)) => &self.body[..length.min(self.body.len())],
            _ => &self.body[..],
        };
        // A client that has gone away is what some tests are about.
        let written = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent));
        if written.is_ok() && matches!(fault, Some(Fault::HoldAfter(_))) {
            let _ = holding.send(());
            // Ends when the client does.
            let _ = std::io::Read::read(&mut stream, &mut [0]);
        }
    }
}

fn respond(state: &State, path: &str, at_large_files: bool) -> Response {
    let ok = |body: Vec<u8>| Response { status: 200, headers: String::new(), body };
    if at_large_files {
        let name = path.trim_start_matches("/large/");
        return state.files.get(name).map_or(Response::status(404, ""), |content| ok(content.clone()));
    }
    for (api, files) in [("/api/models/o/n/revision/", "/o/n/resolve/"), ("/api/datasets/o/n/revision/", "/datasets/o/n/resolve/")] {
        if let Some(revision) = path.strip_prefix(api) {
            let is_known = ["main", COMMIT].contains(&revision);
            return if is_known { ok(description(state)) } else { Response::status(404, "X-Error-Code: RevisionNotFound\r\n") };
        }
        let Some(rest) = path.strip_prefix(files) else { continue };
        let (commit, name) = rest.split_once('/').expect("a commit and a name");
        assert_eq!(commit, COMMIT, "files are asked for by the commit that was listed");
        return match state.files.get(name) {
            None => Response::status(404, "X-Error-Code: EntryNotFound\r\n"),
            Some(content) if content.len() < LARGE => ok(content.clone()),
            Some(_) => {
                let address = state.large_address.expect("it is served");
                Response::status(302, &format!("Location: http://{address}/large/{name}?X-Signature={SIGNATURE}\r\n"))
            }
        };
    }
    Response::status(404, "X-Error-Code: RepoNotFound\r\n")
}

fn description(state: &State) -> Vec<u8> {
    let siblings: Vec<serde_json::Value> = state
        .files
        .iter()
        .map(|(name, content)| {
            let mut sibling = serde_json::json!({"rfilename": name, "size": content.len(), "blobId": blob_id(content)});
            if content.len() >= LARGE {
                sibling["lfs"] = serde_json::json!({"sha256": sha256(content), "size": content.len(), "pointerSize": 134});
            }
            sibling
        })
        .collect();
    serde_json::json!({"id": "o/n", "sha": COMMIT, "siblings": siblings}).to_string().into_bytes()
}
