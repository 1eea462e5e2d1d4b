//! The `temper` command line and the executor that carries out the planner's intents on one machine.
//!
//! | Module | What it is |
//! |---|---|
//! | `arguments`, `commands` | the command line and what each command does |
//! | `local` | observing and executing: processes, files, locks, the registry |
//! | `output` | tables, bars, lines, JSON |
//!
//! # Exit codes
//!
//! 0 done; 1 something unexpected; 2 the command line is wrong; 3 a manifest, model or data set is wrong; 4 the job ran and failed; 5 the
//! job is complete but a `--require` threshold was missed; 6 another `temper` runs this job at the moment; 130 interrupted, the same
//! command continues.

pub mod arguments;
pub mod commands;
pub mod exit;
pub mod forecast;
pub mod input;
pub mod local;
pub mod manifests;
pub mod output;
pub mod prompts;
pub mod requirement;
pub mod shell;
pub mod summary;

use arguments::{Cli, Command};
use clap::Parser;
use exit::Exit;
use output::terminal::Terminal;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let exit = match run(&cli.command, Terminal::detect()) {
        Ok(exit) => exit,
        Err(error) => {
            let (exit, text) = exit::report(&error);
            eprintln!("{text}");
            exit
        }
    };
    ExitCode::from(exit.code())
}

fn run(command: &Command, terminal: Terminal) -> anyhow::Result<Exit> {
    match command {
        Command::Run(arguments) => commands::run::run(arguments, terminal),
        Command::Validate(arguments) => commands::validate::run(arguments),
        Command::Plan(arguments) => commands::plan::run(arguments, terminal),
        Command::Generate(arguments) => commands::generate::run(arguments, terminal),
        Command::Evaluate(arguments) => commands::evaluate::run(arguments),
        Command::Version(arguments) => commands::version::run(arguments),
        Command::Completion(arguments) => commands::completion::run(arguments),
    }
}
