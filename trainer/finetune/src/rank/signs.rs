//! Signs that a rank gets on though it finishes no step, for whoever looks for a stall.

use crate::events::emit;
use crate::metrics::Metrics;
use std::time::{Duration, Instant};
use temper_contract::Event;

/// Signs about one thing that takes its time.
pub(super) struct Signs<'a> {
    what: &'static str,
    metrics: &'a Metrics,
    done: u64,
    /// 0 where nobody knows.
    total: u64,
    last: Option<Instant>,
}

impl<'a> Signs<'a> {
    /// The least time between two signs: a few a second, because people look at them.
    pub(super) const PERIOD: Duration = Duration::from_millis(250);

    /// About this, of nobody knows how many parts; the word is shown to people.
    pub(super) fn of(what: &'static str, metrics: &'a Metrics) -> Self {
        Self::of_parts(what, 0, metrics)
    }

    /// About this, of so many parts.
    pub(super) fn of_parts(what: &'static str, total: usize, metrics: &'a Metrics) -> Self {
        Self { what, metrics, done: 0, total: total as u64, last: None }
    }

    /// A part of it is done. Whether that was told: not sooner than a while after the last time, but of the last part always.
    pub(super) fn got_on(&mut self) -> bool {
        self.done += 1;
        if self.done != self.total && self.last.is_some_and(|last| last.elapsed() < Self::PERIOD) {
            return false;
        }
        self.last = Some(Instant::now());
        self.metrics.got_on();
        let done = if self.total == 0 { 0 } else { self.done };
        emit(&Event::Preparing { stage: self.what.to_owned(), done, total: self.total });
        true
    }
}
