//! What the operator and the trainer both know, and nothing else: the training configuration, environment names, exit codes, the
//! events a trainer prints, its termination message, its reports, its metric names and the layout of its folders.
//!
//! Both sides are built from this crate, so a name or a meaning changes in one place. It depends on serde alone.

pub mod config;
pub mod env;
pub mod event;
pub mod exit_code;
pub mod layout;
pub mod metric;
pub mod number;
pub mod report;
pub mod request;
pub mod termination;

pub use config::TrainerConfig;
pub use event::Event;
pub use exit_code::ExitCode;
pub use termination::{LastWord, StageReport, TerminationMessage};
