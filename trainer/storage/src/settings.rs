//! Limits of time, memory and patience.

use std::time::Duration;

/// How remote places are talked to. The defaults are for production; tests shorten the waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The hub's address.
    pub hub_endpoint: String,
    /// How long a connection may take to stand.
    pub connect_timeout: Duration,
    /// How long a server may send nothing before it is taken for dead.
    pub read_timeout: Duration,
    /// How often in a row a request may fail, without a byte of progress between, before it is given up.
    pub retries: u32,
    /// The wait before the first retry; each further one waits twice as long.
    pub first_backoff: Duration,
    /// The longest wait before a retry.
    pub longest_backoff: Duration,
    /// Files that are transferred at the same time.
    pub concurrency: usize,
    /// The smallest part of an upload in parts, and the largest file that is uploaded in one: bounds memory.
    pub part_size: usize,
}

/// The hub, unless `HF_ENDPOINT` says otherwise.
const HUB: &str = "https://huggingface.co";

impl Default for Settings {
    fn default() -> Self {
        Self {
            hub_endpoint: HUB.to_owned(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            retries: 6,
            first_backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(20),
            concurrency: 4,
            part_size: 8 << 20,
        }
    }
}

impl Settings {
    /// The defaults, with what the environment says: `HF_ENDPOINT`, and `TEMPER_STORAGE_RETRIES` for [`retries`](Self::retries).
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let defaults = Self::default();
        Self {
            hub_endpoint: variable("HF_ENDPOINT").unwrap_or(defaults.hub_endpoint),
            retries: variable("TEMPER_STORAGE_RETRIES").and_then(|retries| retries.parse().ok()).unwrap_or(defaults.retries),
            ..defaults
        }
    }

    /// The wait before the retry that follows `failures` failures in a row; `jitter` in 0..1 keeps many clients from coming back together.
    pub(crate) fn backoff(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.first_backoff.saturating_mul(1 << failures.saturating_sub(1).min(16));
        doubled.min(self.longest_backoff).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use std::time::Duration;

    #[test]
    fn waits_double_up_to_a_bound() {
        let settings = Settings::default();
        assert_eq!(settings.backoff(1, 1.0), Duration::from_millis(500));
        assert_eq!(settings.backoff(2, 1.0), Duration::from_secs(1));
        assert_eq!(settings.backoff(2, 0.0), Duration::from_millis(500));
        assert_eq!(settings.backoff(40, 1.0), settings.longest_backoff);
    }
}
