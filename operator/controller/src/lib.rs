//! The operator of Temper in a cluster.
//!
//! [`run`] is the life of the process: probes, leader election, stopping. [`watched`] is what is read of Kubernetes' own objects. Each kind
//! of resource that the operator carries out has a folder of its own.

pub mod args;
pub mod client;
pub mod clock;
pub mod complaint;
pub mod discovery;
pub mod exit;
pub mod finetunejob;
pub mod health;
pub mod leader;
pub mod metrics;
pub mod run;
pub mod shutdown;
mod start;
pub mod telemetry;
pub mod watched;

pub use start::main;

/// What the API server records as the writer of what the operator writes.
pub const FIELD_MANAGER: &str = "temper-operator";
