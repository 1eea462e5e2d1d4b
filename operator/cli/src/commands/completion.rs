//! `temper completion`.

use crate::arguments::{Cli, CompletionArgs};
use crate::exit::Exit;
use crate::output::format;
use anyhow::Result;
use clap::CommandFactory;

/// Prints a shell's completion script.
pub fn run(arguments: &CompletionArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "temper", &mut script);
    format::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}
