//! The binary as its callers use it: whole runs of a tiny random Llama, with ranks, supervisors and faults.
//!
//! Nothing here sleeps: tests wait for events, for the end of a process, or for the end of a pipe that every process of a run holds open.

mod bad_input;
mod confined;
mod damage;
mod faults;
mod job;
mod kill_points;
mod last_copy;
mod missing;
mod nodes;
mod numbers;
mod outside;
mod published;
mod stops;
mod stores;
mod tiny_model;
