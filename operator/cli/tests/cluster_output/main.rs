//! What people see of a cluster's objects: values in, text out.

mod example;
mod holding;
mod lines;
mod preview;
mod rows;
mod stories;
