//! The chart from the outside: Helm renders it, and what else is made from it is written by `make generate` and checked by this crate's
//! tests.

pub mod generated;
pub mod helm;
pub mod manifest;
pub mod repository;

pub use helm::Helm;
pub use manifest::Manifest;
