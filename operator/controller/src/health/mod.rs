//! What Kubernetes and people are told of this process: `/livez`, `/readyz` and `/metrics`.

mod readiness;
mod server;
mod watchdog;

pub use readiness::{Condition, Readiness};
pub use server::serve;
pub use watchdog::{Running, Watchdog};

use std::sync::Arc;

/// What the probes are answered from.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Whether it can do its work.
    pub readiness: Arc<Readiness>,
    /// Whether it is alive.
    pub watchdog: Arc<Watchdog>,
}
