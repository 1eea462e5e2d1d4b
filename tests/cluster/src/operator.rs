//! The operator as a process: the real binary, as a Deployment would start it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::control_plane::{ControlPlane, Credentials};
use crate::namespace::Namespace;
use crate::process::Process;
use crate::{binaries, http, loopback, wait};

/// How to start an operator for one namespace.
#[derive(Clone, Debug)]
pub struct OperatorOptions {
    namespace: String,
    identity: String,
    url: String,
    credentials: Credentials,
    trainer_image: String,
    more: Vec<OsString>,
    program: PathBuf,
}

impl OperatorOptions {
    /// An operator that acts as `credentials` and watches `namespace`.
    pub fn new(namespace: &Namespace, credentials: &Credentials) -> Self {
        Self {
            namespace: namespace.name().to_owned(),
            identity: "operator-0".to_owned(),
            url: ControlPlane::shared().url().to_owned(),
            credentials: credentials.clone(),
            trainer_image: "temper-trainer:test".to_owned(),
            more: Vec::new(),
            program: binaries::ours("temper-operator"),
        }
    }

    /// What it calls itself in the Lease; each replica needs its own.
    pub fn identity(self, identity: &str) -> Self {
        Self { identity: identity.to_owned(), ..self }
    }

    /// Reaches the API server through a proxy.
    pub fn through(self, proxy: &crate::FaultProxy) -> Self {
        Self { url: proxy.url(), ..self }
    }

    /// More flags.
    pub fn flags(mut self, flags: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.more.extend(flags.into_iter().map(Into::into));
        self
    }

    /// Another binary than the one that cargo built.
    pub fn program(self, program: PathBuf) -> Self {
        Self { program, ..self }
    }

    /// Starts it; use [`Operator::ready`] to wait until it answers.
    ///
    /// # Panics
    /// When the binary is not built.
    pub fn start(self) -> Operator {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("operator-{number}");
        let kubeconfig = ControlPlane::shared().kubeconfig(&self.url, &name, &self.credentials);
        let address = loopback::port(loopback::address());
        let folder = tempfile::tempdir().expect("the folder for temporary files can be written");
        let mut arguments: Vec<OsString> = vec!["--kubeconfig".into(), kubeconfig.into()];
        for (flag, value) in [
            ("--namespace", self.namespace.as_str()),
            ("--lease-namespace", self.namespace.as_str()),
            ("--identity", self.identity.as_str()),
            ("--trainer-image", self.trainer_image.as_str()),
            ("--http-address", address.to_string().as_str()),
        ] {
            arguments.extend([flag.into(), value.into()]);
        }
        arguments.extend(self.more);
        let log = folder.path().join("log");
        let process = Process::start(&name, &self.program, &arguments, &log);
        Operator { process, name, program: self.program, arguments, address, log, _folder: folder }
    }
}

/// A running operator. Dropping it kills it; if its test is failing, the end of its log is shown.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    address: SocketAddr,
    log: PathBuf,
    _folder: TempDir,
}

impl Operator {
    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// When it ends instead, or is not ready in time.
    pub async fn ready(&mut self) {
        wait::eventually(wait::PATIENCE, "the operator is ready", async || {
            if let Some(status) = self.process.ended() {
                panic!("the operator ended with {status}:\n{}", self.process.last_lines());
            }
            let answer = http::get(self.address, "/readyz").await?;
            if answer.status == 200 { Ok(()) } else { Err(format!("{}: {}", answer.status, answer.text)) }
        })
        .await;
    }

    /// Its process number, for what it uses and for hooks that kill it.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it serves its probes and metrics.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its metrics page.
    ///
    /// # Panics
    /// When there is none.
    pub async fn metrics(&self) -> String {
        http::get(self.address, "/metrics").await.unwrap_or_else(|error| panic!("{error}")).text
    }

    /// Kills it as a machine that loses its power does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to stop and waits until it has; its exit code.
    ///
    /// # Panics
    /// When it does not stop in time, or by a signal.
    pub async fn stop(&mut self) -> i32 {
        self.ask_to_stop();
        self.ended().await
    }

    /// Asks it to stop, and does not wait.
    ///
    /// # Panics
    /// When it has ended.
    pub fn ask_to_stop(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits until it has ended by itself; its exit code.
    ///
    /// # Panics
    /// When it does not end in time, or by a signal.
    pub async fn ended(&mut self) -> i32 {
        let status = self.process.wait(wait::PATIENCE).await;
        status.code().unwrap_or_else(|| panic!("the operator ended with {status}:\n{}", self.process.last_lines()))
    }

    /// Holds it still, as a machine that swaps does, until [`Operator::thaw`].
    pub fn freeze(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Starts it again with the same flags, after it ended or was killed. Its log goes on.
    pub fn start_again(&mut self) {
        self.process.kill();
        self.process = Process::start(&self.name, &self.program, &self.arguments, &self.log);
    }

    /// Everything it has printed since its first start.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
