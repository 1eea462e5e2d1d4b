//! A proxy between a client and the API server that fails on demand.
//!
//! It ends the client's TLS with a certificate of the control plane's authority, so that it can read requests, and forwards them with the
//! client's bearer token. Certificates do not pass through it, nor do `exec`, `attach` and `port-forward`.

mod body;
mod fault;
mod forward;
mod request;
mod serve;
mod status;

pub use fault::{Fault, Hook, Which};
pub use request::{Request, Verb};

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::background::Task;
use crate::control_plane::{ControlPlane, Credentials};
use fault::Faults;

/// A running proxy. It ends when dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: Task,
}

/// What the test and the connections share.
#[derive(Default)]
struct Shared {
    faults: Mutex<Faults>,
    seen: Mutex<Vec<Request>>,
    /// How often watches were cut: each watch lasts until the number changes.
    cuts: watch::Sender<u64>,
    /// How often faults were cleared: what was swallowed waits until the number changes.
    heals: watch::Sender<u64>,
}

impl FaultProxy {
    /// Starts one before the shared control plane; nothing fails yet.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (address, task) = serve::start(ControlPlane::shared(), Arc::clone(&shared));
        Self { address, shared, _task: task }
    }

    /// What clients take for the API server.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A client through the proxy.
    ///
    /// # Panics
    /// With a certificate, which cannot be handed on.
    pub fn client(&self, credentials: &Credentials) -> kube::Client {
        assert!(matches!(credentials, Credentials::Token(_)), "only a token passes through the proxy, not {credentials:?}");
        ControlPlane::shared().client(&self.url(), credentials)
    }

    /// Lets a fault happen to those of the matching requests that `which` picks, from now on. Of several faults that pick a request the
    /// one set first happens.
    pub fn set(&self, which: Which, matches: impl Fn(&Request) -> bool + Send + Sync + 'static, fault: Fault) {
        self.shared.faults.lock().expect("no holder panics").set(Box::new(matches), which, fault);
    }

    /// Ends all faults; what was swallowed is answered with a broken connection.
    pub fn heal(&self) {
        self.shared.faults.lock().expect("no holder panics").clear();
        self.shared.heals.send_modify(|heals| *heals += 1);
    }

    /// Breaks every watch that is open.
    pub fn cut_watches(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// The requests so far that `wanted` picks, in the order in which they came.
    pub fn requests(&self, wanted: impl Fn(&Request) -> bool) -> Vec<Request> {
        self.shared.seen.lock().expect("no holder panics").iter().filter(|request| wanted(request)).cloned().collect()
    }
}
