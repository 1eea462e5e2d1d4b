//! Clients of the API server: with timeouts everywhere, counted, and fenced.
//!
//! There are two. What controllers use reads freely, but writes only while the fence is open: asked once when the request is made, and again
//! by the transport at each piece that goes to the network, however long the process stood still in between. What the elector uses is not
//! fenced, and has connections of its own, so that a renewal never waits behind other requests.

mod access;
mod guarded;
mod request;
mod service;
mod transport;

pub use access::{AccessError, access};
pub use service::{NotLeading, is_fenced};
pub use transport::Patience;

use crate::leader::Fence;
use crate::metrics::Metrics;
use kube::{Client, Config};
use service::ApiService;
use std::sync::Arc;
use transport::{Speaks, connected};

/// How long, in seconds, the API server is asked to keep a watch open. A watch that says nothing for five more is dead and starts again, so
/// a dead connection is noticed within 30 seconds. The API server tells the newest version just before it ends a watch: the next one starts
/// where that ended.
pub const WATCH_SECONDS: u32 = 25;

/// Objects in one piece of a listing. A piece is in memory as a whole, and what it took is not all given back: with kube's 500 a listing of
/// thousands takes megabytes that nobody uses again.
const PAGE: u32 = 100;

/// How controllers watch: see [`WATCH_SECONDS`].
pub fn watch_config() -> kube::runtime::watcher::Config {
    kube::runtime::watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// The client of the controllers. Its writes are refused while the fence is shut.
pub fn fenced(config: &Config, patience: Patience, fence: &Arc<Fence>, metrics: &Arc<Metrics>) -> Result<Client, kube::Error> {
    let reads = connected(config, Speaks::Either, patience, None)?;
    let writes = connected(config, Speaks::Either, patience, Some(Arc::clone(fence)))?;
    let service = ApiService::new(reads, writes, Some(Arc::clone(fence)), patience, Arc::clone(metrics));
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// The client of the elector, and of what is asked before there is a leader.
pub fn unfenced(config: &Config, patience: Patience, metrics: &Arc<Metrics>) -> Result<Client, kube::Error> {
    let all = connected(config, Speaks::Http1, patience, None)?;
    let service = ApiService::new(all.clone(), all, None, patience, Arc::clone(metrics));
    Ok(Client::new(service, config.default_namespace.clone()))
}

#[cfg(test)]
mod tests;
