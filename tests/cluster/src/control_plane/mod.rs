//! etcd, kube-apiserver and kube-controller-manager as child processes on loopback.
//!
//! Nothing plays a part here that the real servers can play: admission, RBAC, server-side apply, the Job controller, the garbage
//! collector and the node lifecycle controller are Kubernetes' own. What is missing is nodes: see [`crate::PlayedKubelet`].

mod audit;
mod crds;
mod credentials;
mod heartbeats;
mod servers;

pub use audit::{AuditLog, AuditedObject, AuditedRequest, AuditedStatus, AuditedUser};
pub use credentials::Credentials;
pub(crate) use heartbeats::Heartbeats;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use kube::Client;

use crate::authority::{Authority, Identity};
use crate::folder::LastingFolder;
use crate::process::Process;
use crate::{background, loopback};

/// A running control plane. It ends when dropped, and with the test process.
pub struct ControlPlane {
    heartbeats: Heartbeats,
    /// In the order in which they end: those that write to etcd before etcd.
    servers: Vec<Process>,
    access: Arc<Access>,
}

/// What it takes to reach a control plane.
struct Access {
    endpoint: SocketAddr,
    url: String,
    authority: Authority,
    /// Counts the files of credentials, so that each has a name of its own.
    files: AtomicU32,
    folder: LastingFolder,
}

impl Access {
    fn client(&self, url: &str, credentials: &Credentials) -> Client {
        let name = format!("client-{}", self.files.fetch_add(1, Ordering::Relaxed));
        credentials::client(self.folder.path(), url, &self.authority, &name, credentials)
    }
}

impl ControlPlane {
    /// The control plane that all tests of one binary share; the first to ask starts it.
    ///
    /// # Panics
    /// When it does not start: the first test to ask says why, the others at once that it is so.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Option<ControlPlane>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| std::panic::catch_unwind(Self::start).ok());
        shared.as_ref().expect("the control plane started; another test of this run says why it did not")
    }

    /// Starts one with Temper's CRDs installed, and blocks until it answers.
    ///
    /// # Panics
    /// When a server is not built or does not start; the message says which command builds it, or holds its log.
    pub fn start() -> Self {
        let folder = LastingFolder::new("temper-control-plane-");
        let endpoint = loopback::port(loopback::address());
        let access = Arc::new(Access {
            endpoint,
            url: format!("https://{endpoint}"),
            authority: Authority::new(),
            files: AtomicU32::new(0),
            folder,
        });
        let admin = {
            let access = Arc::clone(&access);
            move || access.client(&access.url, &Credentials::admin())
        };
        let folder = access.folder.path();
        servers::write_files(folder, endpoint.ip(), &access.authority);
        let (etcd, etcd_endpoint) = servers::etcd(folder, endpoint.ip());
        let api_server = servers::api_server(folder, endpoint, etcd_endpoint);
        let mut running = servers::await_ready(admin.clone(), vec![api_server, etcd]);
        let kubeconfig = credentials::kubeconfig(folder, &access.url, &access.authority, "admin", &Credentials::admin());
        running.insert(0, servers::controller_manager(folder, endpoint.ip(), &kubeconfig));
        let client = admin.clone();
        background::wait(|| async move { crds::install(client()).await });
        Self { heartbeats: Heartbeats::start(admin), servers: running, access }
    }

    /// Where its API is.
    pub fn url(&self) -> &str {
        &self.access.url
    }

    /// The folder of its data, keys and logs, with the administrator's `admin.kubeconfig`.
    pub fn folder(&self) -> &Path {
        self.access.folder.path()
    }

    /// A kubeconfig file of a name that is the caller's own: an older file of that name is replaced. `url` is this control plane's or
    /// that of a [`crate::FaultProxy`] before it.
    pub fn kubeconfig(&self, url: &str, name: &str, credentials: &Credentials) -> PathBuf {
        credentials::kubeconfig(self.folder(), url, &self.access.authority, name, credentials)
    }

    /// A client that may do everything. It belongs to the runtime that it is made in.
    pub fn admin(&self) -> Client {
        self.client(self.url(), &Credentials::admin())
    }

    /// A client with credentials. It belongs to the runtime that it is made in.
    pub fn client(&self, url: &str, credentials: &Credentials) -> Client {
        self.access.client(url, credentials)
    }

    /// What the API server was asked for so far.
    pub fn audit(&self) -> AuditLog {
        AuditLog::new(self.folder().join(servers::AUDIT_LOG))
    }

    /// The process number of a server, for benches: `etcd`, `kube-apiserver` or `kube-controller-manager`.
    ///
    /// # Panics
    /// When there is no such server.
    pub fn process_id(&self, server: &str) -> u32 {
        self.servers.iter().find(|process| process.name() == server).unwrap_or_else(|| panic!("no server is named {server}")).id()
    }

    /// The same as an address.
    pub fn endpoint(&self) -> SocketAddr {
        self.access.endpoint
    }

    /// What makes clients of this control plane trust a server of the tests' own at an address.
    pub(crate) fn server_identity(&self, address: IpAddr) -> Identity {
        self.access.authority.server(address)
    }

    /// The control plane's own certificate authority, in DER.
    pub(crate) fn authority(&self) -> Vec<u8> {
        self.access.authority.certificate_der()
    }

    /// The leases that keep played nodes ready.
    pub(crate) fn heartbeats(&self) -> &Heartbeats {
        &self.heartbeats
    }

    /// Makes an administrator's client in another runtime.
    pub(crate) fn admin_elsewhere(&self) -> impl FnOnce() -> Client + Send + 'static {
        let access = Arc::clone(&self.access);
        move || access.client(&access.url, &Credentials::admin())
    }
}
