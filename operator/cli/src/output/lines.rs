//! Progress as plain log lines, for pipes, files and CI.

use crate::output::pace::Pace;
use crate::output::phrase;
use crate::output::progress::Progress;
use std::io::Write;
use std::time::{Duration, Instant};
use temper_contract::Event;

/// At most one line of steps in this time.
const STEP_LINE_EVERY: Duration = Duration::from_secs(5);

/// Writes one line for each thing worth one.
pub struct Lines<W: Write> {
    out: W,
    now: Box<dyn FnMut() -> Instant>,
    stage: String,
    pace: Pace,
    total_steps: u64,
    last_step_line: Option<Instant>,
    last_preparing: Option<String>,
}

impl<W: Write> Lines<W> {
    /// Lines on `out`, by the real clock.
    pub fn new(out: W) -> Self {
        Self::with_clock(out, Instant::now)
    }

    /// Lines on `out`, by the given clock.
    pub fn with_clock(out: W, now: impl FnMut() -> Instant + 'static) -> Self {
        Self {
            out,
            now: Box::new(now),
            stage: String::new(),
            pace: Pace::default(),
            total_steps: 0,
            last_step_line: None,
            last_preparing: None,
        }
    }

    fn line(&mut self, text: &str) {
        // Standard error may be closed; the job goes on.
        let _ = if self.stage.is_empty() { writeln!(self.out, "{text}") } else { writeln!(self.out, "{}: {text}", self.stage) };
    }
}

impl<W: Write> Progress for Lines<W> {
    fn stage(&mut self, name: &str) {
        self.stage = name.to_owned();
        self.last_preparing = None;
    }

    fn event(&mut self, event: &Event) {
        if let Some(sentence) = phrase::sentence(event) {
            self.line(&sentence);
        }
        match event {
            Event::Preparing { stage, .. } if self.last_preparing.as_ref() != Some(stage) => {
                self.line(stage);
                self.last_preparing = Some(stage.clone());
            }
            Event::Started { resumed_from_step, total_steps, .. } => {
                self.pace = Pace::start(*resumed_from_step, *total_steps);
                self.total_steps = *total_steps;
                self.last_step_line = None;
            }
            Event::Step(step) => {
                self.pace.record(step);
                let now = (self.now)();
                let due = self.last_step_line.is_none_or(|last| now.duration_since(last) >= STEP_LINE_EVERY);
                if due || step.step == self.total_steps || step.skipped {
                    self.last_step_line = Some(now);
                    let text = format!("step {}/{}  {}", step.step, self.total_steps, phrase::step_figures(step, &self.pace));
                    self.line(&text);
                }
            }
            Event::CheckpointSaved { step, .. } => self.line(&format!("checkpoint at step {step}")),
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        if text.contains('\n') {
            // A table; see `line` for why a failure is passed over.
            let _ = writeln!(self.out, "{text}");
        } else {
            self.line(text);
        }
    }

    fn finish(&mut self) {
        self.stage.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use crate::output::progress::Progress;
    use std::time::{Duration, Instant};
    use temper_contract::Event;
    use temper_contract::event::StepRecord;
    use temper_contract::report::Parameters;

    #[test]
    fn steps_are_thinned_and_the_last_is_shown() {
        let start = Instant::now();
        let mut seconds = 0;
        let mut written = Vec::new();
        let clock = move || {
            seconds += 2;
            start + Duration::from_secs(seconds)
        };
        let mut lines = Lines::with_clock(&mut written, clock);
        lines.stage("train");
        lines.event(&Event::Started {
            world_size: 1,
            resumed_from_step: 0,
            total_steps: 8,
            parameters: Parameters { total: 100, trainable: 1 },
        });
        for step in 1..=8 {
            lines.event(&Event::Step(StepRecord {
                step,
                epoch: 0.0,
                training_loss: 2.0,
                learning_rate: 1e-3,
                gradient_norm: 1.0,
                tokens: 100,
                target_tokens: 50,
                seconds: 2.0,
                skipped: false,
            }));
        }
        drop(lines);
        let text = String::from_utf8(written).expect("text");
        let shown: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("train: step ")).map(|line| &line[..3]).collect();
        assert_eq!(shown, ["1/8", "4/8", "7/8", "8/8"], "{text}");
    }
}
