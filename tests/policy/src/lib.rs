//! What Kubernetes' own rules say about objects, without a cluster, for tests of what Temper builds and of what its chart renders.
//!
//! - [`network`] answers whether one pod may connect to another, given every NetworkPolicy.
//! - [`pod_security`] lists what keeps a pod from the `restricted` Pod Security level.
//! - [`hardening`] lists what keeps it from Temper's own rules, which go further.

pub mod hardening;
pub mod network;
pub mod pod_security;
mod selector;
mod template;
