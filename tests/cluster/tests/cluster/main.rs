//! Real nodes: containers run, and everything is as a user has it. `make test-cluster` starts the cluster around these tests.
#![allow(clippy::unwrap_used)] // a test fails by panicking

mod canary;
mod cluster;
mod command_line;
mod job;
mod life;
mod lost_node;
mod object_store;
mod reference;
mod release;
mod sample;
mod tiny_model;
mod uninstall;
mod volumes;
