//! Logs for people and machines, on standard error; standard output belongs to events and answers.

mod json_lines;

use json_lines::{Identity, JsonLines};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use temper_contract::env;
use tracing_subscriber::EnvFilter;

/// The generation of this node's ranks.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Starts logging for a stage. `RUST_LOG` filters as usual; without it, information and worse is shown.
pub(crate) fn start(stage: &'static str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let variable = |name: &str| std::env::var(name).ok();
    // A second call, in a test, keeps the first one's settings.
    if variable(env::LOG_FORMAT).is_some_and(|format| format == "json") {
        let identity = Identity::new(stage, variable);
        set_generation(identity.generation);
        let _ = builder.event_format(JsonLines::new(identity, &GENERATION)).try_init();
        // A panic is caught and reported; what Rust prints of it by itself is no JSON.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "panicked: {}", crate::failure::panic_text(panic.payload()));
        }));
    } else {
        let _ = builder.with_ansi(std::io::stderr().is_terminal()).compact().try_init();
    }
}

/// From now on lines are of this generation.
pub(crate) fn set_generation(generation: u64) {
    GENERATION.store(generation, Ordering::Relaxed);
}
