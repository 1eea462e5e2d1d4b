//! Ports of training pods.

use std::ops::RangeInclusive;

/// The TCPStore's, on node 0.
pub const RENDEZVOUS: u16 = 29500;
/// Rank 0's metrics; rank n serves on this port plus n.
pub const METRICS: u16 = 9400;

/// The ports that the metrics of so many ranks are on.
pub fn metrics(world_size: usize) -> RangeInclusive<u16> {
    let others = u16::try_from(world_size.saturating_sub(1)).unwrap_or(u16::MAX);
    METRICS..=METRICS.saturating_add(others)
}
