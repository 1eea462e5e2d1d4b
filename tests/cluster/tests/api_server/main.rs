//! What real Kubernetes servers make of our resources, and that what the tests of the operator stand on is what it says.
//!
//! All tests share one control plane; each has a namespace of its own.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod admission;
mod cli;
mod faults;
mod kubectl;
mod pods;
mod servers;
