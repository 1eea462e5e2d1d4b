//! The stores' servers: one of each for all tests, ended when this process ends, however it does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Azurite's own account, and a key for it that nobody may see.
pub const AZURE_ACCOUNT: &str = "temperaccount";
/// base64 of 64 bytes.
pub const AZURE_KEY: &str = "Y2FuYXJ5LWtleS1vZi10ZW1wZXJzLXRlc3RzLXdoaWNoLW5vYm9keS1tYXktc2VlLTAxMjM0NTY3ODlhYmNkZQ==";

/// Where servers are for this machine alone.
const LOOPBACK: &str = "127.0.0.1";

/// A server.
#[derive(Debug)]
pub struct Server {
    /// Host and port.
    pub address: String,
    /// Its standard input: the server ends when this is closed.
    _shell: Child,
}

/// Starts a command in the background and ends it when standard input does.
const UNTIL_INPUT_ENDS: &str = r#"exec 3<&0; "$@" 3<&- & server=$!; (cat <&3 >/dev/null; kill $server) & wait $server"#;
const PATIENCE: Duration = Duration::from_secs(120);

impl Server {
    fn start(host: &str, name: &str, command: impl Fn(u16) -> Vec<String>, variables: &[(&str, &str)]) -> Self {
        let folder = std::env::var("TEMPER_TEST_STORES").unwrap_or_else(|_| {
            let home = std::env::var("HOME").expect("there is a home");
            format!("{home}/.cache/temper/stores")
        });
        let deadline = Instant::now() + PATIENCE;
        // Another process may take the port before the server does: then the server ends, and another port is tried.
        while Instant::now() < deadline {
            let free = TcpListener::bind((host, 0)).and_then(|listener| listener.local_addr());
            let port = free.unwrap_or_else(|error| panic!("{host} has no free port: {error}")).port();
            let words = command(port);
            let program = PathBuf::from(&folder).join(&words[0]);
            assert!(program.exists(), "{} is missing: run `scripts/setup.sh stores`", program.display());
            let mut shell = Command::new("sh")
                .args(["-c", UNTIL_INPUT_ENDS, name])
                .arg(program)
                .args(&words[1..])
                .envs(variables.iter().copied())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("there is a shell");
            let address = format!("{host}:{port}");
            while Instant::now() < deadline && shell.try_wait().expect("it is ours").is_none() {
                if TcpStream::connect(&address).is_ok() {
                    return Self { address, _shell: shell };
                }
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        panic!("{name} did not start within {PATIENCE:?}");
    }

    /// The server's address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// One plain request; status and body.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it runs");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("it listens");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).expect("it answers");
        let text = String::from_utf8_lossy(&response).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text}"));
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        (status, body)
    }

    /// The same where it must succeed; the body.
    #[track_caller]
    pub fn must(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> String {
        let (status, text) = self.request(method, path, headers, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
        text
    }

    /// Lets so many of the next requests in, whatever they are signed with: for what a test itself puts into and reads from a server that
    /// checks signatures ([`s3_with_users_at`]).
    pub fn let_in(&self, requests: usize) {
        let headers = "Content-Type: application/octet-stream\r\n";
        self.must("POST", "/moto-api/reset-auth", headers, requests.to_string().as_bytes());
    }
}

fn moto(host: &str, variables: &[(&str, &str)]) -> Server {
    Server::start(host, "moto", |port| ["venv/bin/moto_server", "-H", host, "-p", &port.to_string()].map(str::to_owned).to_vec(), variables)
}

/// S3 that takes any credentials.
pub fn s3() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| moto(LOOPBACK, &[]))
}

/// What looks like a signature, for a server that does not look closely.
pub const S3_SIGNED: &str =
    "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x\r\n";

/// A fresh bucket.
pub fn s3_bucket(name: &str) -> String {
    s3().must("PUT", &format!("/{name}"), "", b"");
    name.to_owned()
}

/// Puts an object into a bucket of [`s3`], as somebody else's tool would.
pub fn s3_put(bucket: &str, key: &str, content: &[u8]) {
    let headers = format!("{S3_SIGNED}Content-Type: application/octet-stream\r\n");
    s3().must("PUT", &format!("/{bucket}/{key}"), &headers, content);
}

/// S3 that checks signatures, with the keys of a user who may do everything.
pub fn s3_with_users() -> &'static (Server, String, String) {
    static SERVER: OnceLock<(Server, String, String)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let made = s3_with_users_at(LOOPBACK);
        made.0.let_in(1);
        made.0.must("PUT", "/guarded", S3_SIGNED, b"");
        made
    })
}

/// The same without a bucket, and at an address of this machine that others reach. Its keys are new ones each time.
pub fn s3_with_users_at(host: &str) -> (Server, String, String) {
    // So many requests are let in before signatures are checked: the three below.
    let server = moto(host, &[("INITIAL_NO_AUTH_ACTION_COUNT", "3")]);
    let signed = "Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=x\r\n";
    let headers = format!("{signed}Content-Type: application/x-www-form-urlencoded\r\n");
    let iam = |query: &str| server.must("POST", "/", &headers, format!("{query}&Version=2010-05-08").as_bytes());
    iam("Action=CreateUser&UserName=u");
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22s3%3A*%22%2C%22Resource%22%3A%22*%22%7D%5D%7D";
    iam(&format!("Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}"));
    let keys = iam("Action=CreateAccessKey&UserName=u");
    let element = |name: &str| {
        let after = keys.split(&format!("<{name}>")).nth(1).unwrap_or_else(|| panic!("{name} in {keys}"));
        after.split('<').next().unwrap_or_default().replace("&amp;", "&")
    };
    let (id, secret) = (element("AccessKeyId"), element("SecretAccessKey"));
    (server, id, secret)
}

/// Azure Blob Storage.
pub fn azure() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let accounts = format!("{AZURE_ACCOUNT}:{AZURE_KEY}");
        let command = |port: u16| {
            let port = port.to_string();
            let words = ["azurite-blob", "--inMemoryPersistence", "--blobHost", LOOPBACK, "--blobPort", &port];
            words.into_iter().chain(["--skipApiVersionCheck", "--disableTelemetry", "--silent"]).map(str::to_owned).collect()
        };
        Server::start(LOOPBACK, "azurite", command, &[("AZURITE_ACCOUNTS", &accounts)])
    })
}

/// Google Cloud Storage.
pub fn google() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let command = |port: u16| {
            let port = port.to_string();
            let words = ["fake-gcs-server", "-scheme", "http", "-host", LOOPBACK, "-port", &port, "-backend", "memory"];
            words.into_iter().chain(["-public-host", LOOPBACK, "-log-level", "error"]).map(str::to_owned).collect()
        };
        Server::start(LOOPBACK, "fake-gcs-server", command, &[])
    })
}

/// A number that no other call has got.
pub fn unique() -> u64 {
    static NEXT: Mutex<u64> = Mutex::new(0);
    let mut next = NEXT.lock().expect("sound");
    *next += 1;
    *next
}
