//! A trainer's events as sentences, the same for bars and lines.

use crate::output::pace::Pace;
use crate::output::quantity::{duration, grouped, measure};
use temper_contract::Event;
use temper_contract::event::StepRecord;

/// The figures of a step: `loss 1.2346  lr 2.0e-4  1,234 tokens/s  ETA 40 s`.
pub fn step_figures(step: &StepRecord, pace: &Pace) -> String {
    let mut text = format!("loss {}  lr {:.1e}", measure(step.training_loss), step.learning_rate);
    if let Some(rate) = pace.tokens_per_second() {
        text.push_str(&format!("  {} tokens/s", grouped(rate.round() as u64)));
    }
    if let Some(seconds) = pace.remaining_seconds() {
        text.push_str(&format!("  ETA {}", duration(seconds)));
    }
    if step.skipped {
        text.push_str("  (skipped: the gradient was not finite)");
    }
    text
}

/// The sentence for an event that a person should read whole; `None` for those that only move a bar.
pub fn sentence(event: &Event) -> Option<String> {
    match event {
        Event::Prepared { counts, reused } => Some(format!(
            "{} {} rows, held out {}, rejected {}{}",
            if *reused { "reusing the token cache:" } else { "accepted" },
            grouped(counts.accepted),
            grouped(counts.validation),
            grouped(counts.rejected_total()),
            if counts.truncated > 0 { format!(", cut {}", grouped(counts.truncated)) } else { String::new() },
        )),
        Event::Started { world_size, resumed_from_step, total_steps, parameters } => Some(format!(
            "{} {} rank{}, {} of {} parameters ({:.2}%){}",
            if *resumed_from_step > 0 { "continuing on" } else { "training on" },
            world_size,
            if *world_size == 1 { "" } else { "s" },
            grouped(parameters.trainable),
            grouped(parameters.total),
            parameters.trainable_percent(),
            if *resumed_from_step > 0 {
                format!(", from step {resumed_from_step} of {total_steps}")
            } else {
                format!(", {total_steps} steps")
            },
        )),
        Event::Evaluated { step, validation_loss, .. } => {
            Some(format!("step {step}: held-out loss {} (perplexity {})", measure(*validation_loss), measure(validation_loss.exp()),))
        }
        Event::Restarting { generation, reason } => Some(format!("restarting the ranks (restart {generation}): {reason}")),
        Event::Warning { message } => Some(format!("warning: {message}")),
        Event::Finished { step, reason } if reason == "earlyStopping" => {
            Some(format!("stopped early at step {step}: the held-out loss no longer falls"))
        }
        Event::Preparing { .. } | Event::Heartbeat { .. } | Event::Step(_) | Event::CheckpointSaved { .. } | Event::Finished { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{sentence, step_figures};
    use crate::output::pace::Pace;
    use temper_contract::Event;
    use temper_contract::event::StepRecord;
    use temper_contract::report::Parameters;

    #[test]
    fn a_step_reads_as_figures() {
        let step = StepRecord {
            step: 2,
            epoch: 0.1,
            training_loss: 1.5,
            learning_rate: 2e-4,
            gradient_norm: 0.7,
            tokens: 2048,
            target_tokens: 900,
            seconds: 2.0,
            skipped: false,
        };
        let mut pace = Pace::start(0, 62);
        pace.record(&step);
        assert_eq!(step_figures(&step, &pace), "loss 1.5000  lr 2.0e-4  1,024 tokens/s  ETA 2 min 00 s");
    }

    #[test]
    fn a_continued_run_says_from_where() {
        let event = Event::Started {
            world_size: 2,
            resumed_from_step: 40,
            total_steps: 120,
            parameters: Parameters { total: 1000, trainable: 10 },
        };
        assert_eq!(sentence(&event).as_deref(), Some("continuing on 2 ranks, 10 of 1,000 parameters (1.00%), from step 40 of 120"));
    }
}
