//! `temper completion`.

use crate::arguments::CompletionArgs;
use crate::cluster::complete::VARIABLE;
use crate::exit::{Exit, Stop};
use crate::output::format;
use anyhow::{Context, Result};
use clap_complete::env::Shells;
use std::path::Path;

/// Prints a shell's script. It asks this program for each completion, so that names of objects are completed too.
pub fn run(arguments: &CompletionArgs) -> Result<Exit> {
    let name = arguments.shell.to_string();
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(&name) else {
        return Err(Stop::usage(format!("{name}: has no completion"), "use bash, zsh, fish, elvish or powershell").into());
    };
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "temper", "temper", &this_program(), &mut script).context("cannot write the script")?;
    format::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Success)
}

/// As it was called: by its path, or found in PATH.
fn this_program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    match std::env::current_exe() {
        Ok(path) if Path::new(&called).components().count() > 1 => path.display().to_string(),
        _ => "temper".to_owned(),
    }
}
