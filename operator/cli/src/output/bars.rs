//! Progress as bars and spinners, for a terminal.

use super::aside;
use crate::output::pace::Pace;
use crate::output::phrase;
use crate::output::progress::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;
use temper_contract::Event;

/// How often the spinner moves when nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// One bar at the bottom, sentences above it.
pub struct Bars {
    bar: ProgressBar,
    stage: String,
    pace: Pace,
    preparing: String,
}

impl Bars {
    /// No bar yet.
    pub fn new() -> Self {
        Self { bar: ProgressBar::hidden(), stage: String::new(), pace: Pace::default(), preparing: String::new() }
    }

    fn replace(&mut self, bar: ProgressBar) {
        self.bar.finish_and_clear();
        self.bar = bar;
        self.bar.enable_steady_tick(TICK);
    }

    fn spinner(&mut self, message: String) {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        self.replace(bar.with_style(style("{spinner:.cyan} {prefix:.bold} {msg}")).with_prefix(self.stage.clone()).with_message(message));
    }

    fn measured(&mut self, total: u64, template: &str, position: u64) {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        self.replace(bar.with_style(style(template)).with_prefix(self.stage.clone()).with_position(position));
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

/// A bar's style; a template that indicatif cannot read leaves its default bar.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}

impl Progress for Bars {
    fn stage(&mut self, name: &str) {
        self.stage = name.to_owned();
        self.preparing.clear();
        self.spinner(String::new());
    }

    fn event(&mut self, event: &Event) {
        if let Some(sentence) = phrase::sentence(event) {
            self.bar.println(format!("{}: {sentence}", self.stage));
        }
        match event {
            Event::Preparing { stage, done, total } => {
                if self.preparing != *stage {
                    self.preparing.clone_from(stage);
                    if *total > 0 {
                        self.measured(*total, "{spinner:.cyan} {prefix:.bold} {msg} {bar:30.cyan/dim} {percent}%", *done);
                        self.bar.set_message(stage.clone());
                    } else {
                        self.spinner(stage.clone());
                    }
                }
                self.bar.set_position(*done);
            }
            Event::Started { resumed_from_step, total_steps, .. } => {
                self.pace = Pace::start(*resumed_from_step, *total_steps);
                self.measured(*total_steps, "{spinner:.cyan} {prefix:.bold} {bar:30.cyan/dim} step {pos}/{len}  {msg}", *resumed_from_step);
            }
            Event::Step(step) => {
                self.pace.record(step);
                self.bar.set_position(step.step);
                self.bar.set_message(phrase::step_figures(step, &self.pace));
            }
            _ => {}
        }
    }

    fn say(&mut self, line: &str) {
        if self.bar.is_hidden() {
            aside::say(line);
        } else {
            self.bar.println(line);
        }
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }
}
