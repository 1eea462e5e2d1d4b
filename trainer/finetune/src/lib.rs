//! Prepares data, trains, evaluates, generates and publishes: the program behind `temper-trainer`.
//!
//! `train` is a node's supervisor ([`supervisor`]); it starts `rank` processes ([`rank`]), whose loop shows only evaluate, checkpoint, step.
//! What they pass on lies in [`checkpoint`]; the other commands are in [`stage`]. Every way to fail ends as a [`failure::Failure`]: an exit
//! code of the contract, and a termination message that says what to do.
#![allow(rustdoc::private_intra_doc_links)] // this page is for those who read the source

mod checkpoint;
mod command;
mod compute;
mod durable;
mod early_stopping;
mod events;
mod exchange;
mod failure;
pub mod kill_point;
mod logging;
mod metrics;
mod optimizer;
mod parent;
mod process_memory;
mod rank;
mod restarts;
mod schedule;
mod stage;
mod step_log;
mod stop_signal;
mod supervisor;
mod termination;

use clap::Parser;
use failure::Failure;
use rank::Ending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use temper_contract::{ExitCode, TerminationMessage};

/// Runs the program; the result is the process's exit code.
pub fn main() -> std::process::ExitCode {
    // Before anything is read or written: a child whose parent has gone must do nothing.
    if let Err(error) = parent::die_with_parent() {
        eprintln!("temper-trainer: {error}");
        return std::process::ExitCode::from(ExitCode::Unexpected.code());
    }
    let command = command::Command::parse();
    logging::start();
    // A tensor operation that fails in a way nobody foresaw panics: that ends as a failure like any other.
    let outcome = catch_unwind(AssertUnwindSafe(|| command.run())).unwrap_or_else(|panic| Err(failure_of(panic.as_ref())));
    let code = match outcome {
        Ok(Ending::Complete | Ending::EarlyStopping) => ExitCode::Success,
        Ok(Ending::Terminated) => {
            let message = "stopped by a signal; the checkpoint is written".to_owned();
            termination::leave(&TerminationMessage {
                reason: ExitCode::Terminated,
                message,
                next_step: "run again to go on".to_owned(),
                rank: None,
            });
            ExitCode::Terminated
        }
        Err(failure) => {
            termination::report(&failure);
            failure.reason
        }
    };
    std::process::ExitCode::from(code.code())
}

fn failure_of(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let first_line = text.unwrap_or("a panic without a message").lines().next().unwrap_or_default();
    Failure::unexpected(format!("panicked: {first_line}"))
}
