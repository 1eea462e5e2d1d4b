//! What is built for jobs, as a cluster would see it.

mod content;
mod example;
mod names;
mod network;
mod places;
mod registration;
mod security;
mod snapshots;
