//! Waiting before a retry.

use crate::settings::Settings;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A server may ask for more patience than this; it does not get it.
const LONGEST_ASKED: u64 = 60;

/// Waits: as long as the server asked for, else longer with each failure in a row.
pub(crate) async fn before_retry(settings: &Settings, failures: u32, asked_seconds: Option<u64>) {
    let wait = match asked_seconds {
        Some(seconds) => Duration::from_secs(seconds.min(LONGEST_ASKED)),
        None => settings.backoff(failures, jitter()),
    };
    tokio::time::sleep(wait).await;
}

/// Something in 0..1 that differs between processes.
fn jitter() -> f64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    f64::from(nanos % 1_000_000) / 1e6
}
