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
mod inputs;
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
mod transfer;

use clap::Parser;
use failure::{Failure, panic_text};
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
    logging::start(command.name());
    // A tensor operation that fails in a way nobody foresaw panics: that ends as a failure like any other.
    let outcome = catch_unwind(AssertUnwindSafe(|| command.run()))
        .unwrap_or_else(|panic| Err(Failure::unexpected(format!("panicked: {}", panic_text(panic.as_ref())))));
    let code = match outcome {
        Ok(Ending::Complete | Ending::EarlyStopping) => ExitCode::Success,
        Ok(Ending::Terminated) => {
            let message =
                TerminationMessage::new(ExitCode::Terminated, "stopped by a signal; the checkpoint is written", "run again to go on");
            termination::leave(&TerminationMessage { in_place_restarts: command.in_place_restarts(), ..message });
            ExitCode::Terminated
        }
        Err(failure) => {
            termination::report(&failure, command.in_place_restarts());
            failure.reason
        }
    };
    if command.leaves_threads_behind() {
        // A thread may still wait in libtorch for a node that does not answer: nothing may be torn down under it.
        signal_hook::low_level::exit(i32::from(code.code()));
    }
    std::process::ExitCode::from(code.code())
}
