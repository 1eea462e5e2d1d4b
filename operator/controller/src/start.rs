//! From the command line to the exit code.

use crate::args::{OperatorArgs, PodEnvironment};
use crate::client::AccessError;
use crate::exit::Exit;
use crate::{finetunejob, run, telemetry};
use clap::Parser;
use std::process::ExitCode;

/// The `temper-operator` command.
pub fn main() -> ExitCode {
    // Two providers of cryptography may be linked, and then rustls does not choose by itself. There is none before this line.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = OperatorArgs::try_parse().and_then(|args| args.checked(&PodEnvironment::read()));
    let args = args.unwrap_or_else(|error| error.exit());
    let filter = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let traces = match telemetry::start(&args.observability, filter.as_deref(), args.election.identity.as_deref()) {
        Ok(traces) => traces,
        Err(error) => {
            eprintln!("error: {error:#}");
            return Exit::Usage.code().into();
        }
    };
    let exit = match operate(args) {
        Ok(exit) => exit,
        Err(error) => {
            tracing::error!("{error:#}");
            if error.is::<AccessError>() { Exit::Usage } else { Exit::Unexpected }
        }
    };
    traces.end();
    exit.code().into()
}

fn operate(args: OperatorArgs) -> anyhow::Result<Exit> {
    // One thread: the operator waits more than it computes, and threads cost memory.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(run::run(args, finetunejob::run));
    // Nobody waits for a name to be resolved or a probe to be answered.
    runtime.shutdown_background();
    exit
}
