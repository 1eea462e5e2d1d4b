//! The machine that the figures come from.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::Duration;

/// A build just before leaves a load that falls within this time.
const PATIENCE: u32 = 48;
const PAUSE: Duration = Duration::from_secs(5);

/// What it is.
pub(crate) fn describe() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, name)| name);
    json!({
        "cpu": model,
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "time": jiff::Timestamp::now(),
    })
}

/// Waits until the machine has nothing else to do.
pub(crate) fn wait_until_idle(max_load: f64) -> Result<()> {
    for turn in 0..PATIENCE {
        let load = load()?;
        if load < max_load {
            return Ok(());
        }
        if turn == 0 {
            println!("==> waiting until the load average ({load}) falls below {max_load}");
        }
        sleep(PAUSE);
    }
    bail!("the load average stays above {max_load}: figures of a busy machine mean nothing; stop what runs, or raise --max-load")
}

/// The load average of the last minute.
fn load() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    text.split_ascii_whitespace().next().and_then(|first| first.parse().ok()).context("/proc/loadavg holds no number")
}
