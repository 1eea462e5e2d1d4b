//! Logs for people and machines, on standard error; standard output belongs to events and answers.

use std::io::IsTerminal;
use temper_contract::env;
use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` filters as usual; without it, information and worse is shown.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second call, in a test, keeps the first one's settings.
    let _ = if std::env::var(env::LOG_FORMAT).is_ok_and(|format| format == "json") {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).compact().try_init()
    };
}
