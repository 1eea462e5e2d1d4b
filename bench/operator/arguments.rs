//! The command line.

use clap::Parser;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Measures what the operator costs; `make bench-operator` builds what it needs.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Arguments {
    /// Our binary, as it is shipped; without it the one that cargo built for the tests.
    #[arg(long, value_name = "FILE")]
    pub(crate) operator: Option<PathBuf>,
    /// The peer's binary, built from bench/operator/peer.
    #[arg(long, value_name = "FILE")]
    pub(crate) peer: PathBuf,
    /// Where the figures go, as JSON.
    #[arg(long, value_name = "FILE", default_value = "bench/results/operator.json")]
    pub(crate) output: PathBuf,
    /// Jobs that are timed from their creation to their pods'.
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub(crate) latency_jobs: usize,
    /// Rounds of lives, each with a fresh process of each controller in turn.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) rounds: usize,
    /// Lives in a round.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) lives: usize,
    /// Lives at the same time.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) at_once: usize,
    /// Numbers of jobs to measure resident memory at, rising; none leaves that part and the idle one out.
    #[arg(long, value_name = "N,N,...", default_value = "1000,5000,10000", value_delimiter = ',', num_args = 0..)]
    pub(crate) sizes: Vec<usize>,
    /// How long to watch an idle operator, such as 10m.
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub(crate) idle: Span,
    /// The load average below which to start; above it, it waits a few minutes and gives up.
    #[arg(long, value_name = "LOAD", default_value_t = 0.5)]
    pub(crate) max_load: f64,
}

/// A time in seconds or minutes: `90s`, `10m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(Duration);

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = || format!("{text:?} is no time; write it as in 90s or 10m");
        let (number, seconds) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
            (Some(number), _) => (number, 1),
            (_, Some(number)) => (number, 60),
            _ => return Err(wanted()),
        };
        let number: u32 = number.parse().map_err(|_| wanted())?;
        Ok(Self(Duration::from_secs(u64::from(number) * seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Span};
    use clap::CommandFactory;
    use std::time::Duration;

    #[test]
    fn times_are_seconds_or_minutes() {
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("10m".parse(), Ok(Span(Duration::from_secs(600))));
        for text in ["", "10", "m", "1h", "-1s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        Arguments::command().debug_assert();
    }
}
