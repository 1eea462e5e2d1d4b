//! Whether ranks are alive and get on. Decides only: it is told what is heard and what time it is.

use super::cause::End;
use std::time::{Duration, Instant};
use temper_contract::Event;

/// When each rank was heard last, and when the generation last got on.
#[derive(Debug)]
pub(super) struct Watch {
    heartbeat_timeout: Duration,
    stall_timeout: Duration,
    /// `None` once a rank has ended: nobody expects a heartbeat then.
    last_heard: Vec<Option<Instant>>,
    last_progress: Instant,
    step: u64,
    has_started: bool,
}

impl Watch {
    pub(super) fn new(ranks: usize, heartbeat_timeout: Duration, stall_timeout: Duration, now: Instant) -> Self {
        Self { heartbeat_timeout, stall_timeout, last_heard: vec![Some(now); ranks], last_progress: now, step: 0, has_started: false }
    }

    /// A rank said something.
    pub(super) fn heard(&mut self, local_rank: usize, event: &Event, now: Instant) {
        if let Some(Some(last)) = self.last_heard.get_mut(local_rank) {
            *last = now;
        }
        match event {
            // Heartbeats come from ranks that do nothing, too: only a new step in them counts.
            Event::Heartbeat { step, .. } if *step > self.step => {
                self.step = *step;
                self.has_started = true;
                self.last_progress = now;
            }
            Event::Heartbeat { .. } => {}
            Event::Started { .. } => {
                self.has_started = true;
                self.last_progress = now;
            }
            _ => self.last_progress = now,
        }
    }

    /// A rank has ended.
    pub(super) fn ended(&mut self, local_rank: usize) {
        if let Some(last) = self.last_heard.get_mut(local_rank) {
            *last = None;
        }
    }

    /// Whether training has begun, so that there is something to save.
    pub(super) fn has_started(&self) -> bool {
        self.has_started
    }

    /// What is wrong now, if anything: a silent rank, or none that gets on.
    pub(super) fn trouble(&self, now: Instant) -> Option<(usize, End)> {
        let silent = self.last_heard.iter().enumerate().find_map(|(local_rank, last)| {
            let silence = now.saturating_duration_since((*last)?);
            (silence >= self.heartbeat_timeout).then_some((local_rank, End::Silent { seconds: silence.as_secs() }))
        });
        let stall = now.saturating_duration_since(self.last_progress);
        silent.or_else(|| (stall >= self.stall_timeout).then_some((0, End::Stalled { seconds: stall.as_secs() })))
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Watch};
    use std::time::{Duration, Instant};
    use temper_contract::Event;

    const SECOND: Duration = Duration::from_secs(1);

    fn beat(rank: usize, step: u64) -> Event {
        Event::Heartbeat { rank, step }
    }

    #[test]
    fn a_silent_rank_is_noticed_when_its_time_is_up() {
        let start = Instant::now();
        let mut watch = Watch::new(2, 10 * SECOND, 900 * SECOND, start);
        watch.heard(0, &beat(0, 0), start + 5 * SECOND);
        watch.heard(1, &beat(1, 0), start + 2 * SECOND);
        assert_eq!(watch.trouble(start + 11 * SECOND), None);
        assert_eq!(watch.trouble(start + 12 * SECOND), Some((1, End::Silent { seconds: 10 })));
        watch.ended(1);
        assert_eq!(watch.trouble(start + 14 * SECOND), None, "a rank that has ended owes no heartbeat");
    }

    #[test]
    fn heartbeats_without_a_new_step_are_a_stall() {
        let start = Instant::now();
        let mut watch = Watch::new(1, 10 * SECOND, 60 * SECOND, start);
        for second in 1..=70 {
            watch.heard(0, &beat(0, if second <= 10 { 1 } else { 2 }), start + second * SECOND);
        }
        assert_eq!(watch.trouble(start + 70 * SECOND), None, "step 2 came at second 11");
        watch.heard(0, &beat(0, 2), start + 71 * SECOND);
        assert_eq!(watch.trouble(start + 71 * SECOND), Some((0, End::Stalled { seconds: 60 })));
    }

    #[test]
    fn evaluation_counts_as_getting_on() {
        let start = Instant::now();
        let mut watch = Watch::new(1, 100 * SECOND, 60 * SECOND, start);
        watch.heard(0, &Event::Preparing { stage: "evaluating".to_owned(), done: 1, total: 2 }, start + 50 * SECOND);
        assert_eq!(watch.trouble(start + 80 * SECOND), None);
        assert!(!watch.has_started());
    }
}
