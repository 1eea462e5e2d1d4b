//! The `temper` command line: the executor that carries out the planner's intents on one machine, and what a person asks of a cluster.
//!
//! | Module | What it is |
//! |---|---|
//! | `arguments`, `commands` | the command line and what each command does |
//! | `local` | observing and executing: processes, files, locks, the registry |
//! | `cluster` | asking an API server: get, describe, logs, suspend, resume, dry runs |
//! | `output` | tables, bars, lines, JSON |
//!
//! # Exit codes
//!
//! 0 done; 1 something unexpected; 2 the command line is wrong; 3 a manifest, model, data set or folder cannot be used; 4 the job ran and
//! failed; 5 the job is complete but a `--require` threshold was missed; 6 another `temper` runs this job at the moment; 7 the cluster
//! cannot be reached, refuses, or does not have what was named; 130 interrupted, the same command continues.

pub mod arguments;
pub mod cluster;
pub mod commands;
pub mod exit;
pub mod forecast;
pub mod input;
pub mod local;
pub mod manifests;
pub mod output;
pub mod program;
pub mod prompts;
pub mod requirement;
pub mod shell;
pub mod summary;

use arguments::{Cli, Command};
use clap::{CommandFactory, FromArgMatches};
use clap_complete::CompleteEnv;
use exit::Exit;
use output::aside;
use output::format;
use output::terminal::Terminal;
use program::Program;
use std::process::ExitCode;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // Two providers of cryptography may be linked, and then rustls does not choose by itself. There is none before this line.
    let _ = rustls::crypto::ring::default_provider().install_default();
    CompleteEnv::with_factory(Cli::command).var(cluster::complete::VARIABLE).complete();
    let program = Program::called(std::env::args_os().next().as_deref());
    let result = match program {
        Program::KubectlCompletion => format::print(&cluster::complete::for_kubectl(std::env::args_os().skip(1))).map(|()| Exit::Success),
        Program::Temper | Program::KubectlPlugin => run(&parsed(program).command, Terminal::detect(), program),
    };
    let exit = result.unwrap_or_else(|error| {
        let (exit, text) = exit::report(&error);
        aside::say(&text);
        exit
    });
    ExitCode::from(exit.code())
}

/// The command line, in whose help the program has the name that it was called by.
fn parsed(program: Program) -> Cli {
    let matches = Cli::command().bin_name(program.name()).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn run(command: &Command, terminal: Terminal, program: Program) -> anyhow::Result<Exit> {
    match command {
        Command::Run(arguments) => commands::run::run(arguments, terminal),
        Command::Validate(arguments) => commands::validate::run(arguments),
        Command::Plan(arguments) => commands::plan::run(arguments, terminal),
        Command::Generate(arguments) => commands::generate::run(arguments, terminal),
        Command::Evaluate(arguments) => commands::evaluate::run(arguments),
        Command::Get(arguments) => cluster::get::run(arguments, terminal, program),
        Command::Describe(arguments) => cluster::describe::run(arguments, terminal, program),
        Command::Logs(arguments) => cluster::logs::run(arguments, terminal, program),
        Command::Suspend(arguments) => cluster::hold::suspend(arguments, program),
        Command::Resume(arguments) => cluster::hold::resume(arguments, program),
        Command::Version(arguments) => commands::version::run(arguments),
        Command::Completion(arguments) => commands::completion::run(arguments),
    }
}
