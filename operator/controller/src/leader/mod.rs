//! Leader election by a `coordination.k8s.io/v1` Lease, with a fence.
//!
//! Of several replicas one acts; the others wait and watch its Lease. `candidate` decides, `elector` reads and writes the Lease, and `fence`
//! is what the rest of the process sees of it: the client asks it before every write.
//!
//! Why two leaders never write at the same time. A leader's fence stands open for the renew deadline, counted from the moment *before* the
//! renewal was sent. Others take the Lease only after it has not changed for the whole lease duration, which they count from the moment
//! *after* they saw the last change. No clock is compared with another machine's; only their speeds must agree to within the ratio of the
//! two durations.
//!
//! A leader that cannot renew in time does not end: its fence shuts, so it writes nothing, and it goes on trying. If its renewal succeeds,
//! nobody else has led meanwhile and it goes on where it was. If the Lease is another's, it has lost: the process ends and starts afresh,
//! so that nothing it held in memory as a leader outlives its term.

pub mod candidate;
pub mod elector;
pub mod fence;
pub mod identity;
#[cfg(test)]
mod simulation;

pub use candidate::{Candidate, Timing, Turn};
pub use elector::Elector;
pub use fence::Fence;
