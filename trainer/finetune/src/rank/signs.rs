//! Signs that a rank gets on though it finishes no step, for whoever looks for a stall.

use crate::events::emit;
use crate::metrics::Metrics;
use std::time::{Duration, Instant};
use temper_contract::Event;

/// Signs about one thing that takes its time.
pub(super) struct Signs<'a> {
    what: &'static str,
    metrics: &'a Metrics,
    last: Option<Instant>,
}

impl<'a> Signs<'a> {
    /// The least time between two signs.
    pub(super) const PERIOD: Duration = Duration::from_secs(1);

    /// About this; the word is shown to people.
    pub(super) fn of(what: &'static str, metrics: &'a Metrics) -> Self {
        Self { what, metrics, last: None }
    }

    /// A part of it is done. Whether that was told: not sooner than a while after the last time.
    pub(super) fn got_on(&mut self) -> bool {
        if self.last.is_some_and(|last| last.elapsed() < Self::PERIOD) {
            return false;
        }
        self.last = Some(Instant::now());
        self.metrics.got_on();
        emit(&Event::Preparing { stage: self.what.to_owned(), done: 0, total: 0 });
        true
    }
}
