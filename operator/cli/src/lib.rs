//! The `temper` command line and the executor that carries out the planner's intents on one machine.

pub mod arguments;
pub mod commands;
pub mod exit;
pub mod input;
pub mod local;
pub mod output;
pub mod prompts;
pub mod requirement;

/// Runs the command line of this process.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
