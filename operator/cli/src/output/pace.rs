//! How fast steps go by, and how long the rest will take.

use temper_contract::event::StepRecord;

/// Weight of the newest step in the moving averages: a change shows after some ten steps.
const NEWEST: f64 = 0.1;

/// Moving averages over the steps seen so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pace {
    step: u64,
    total_steps: u64,
    seconds_per_step: Option<f64>,
    tokens_per_second: Option<f64>,
}

impl Pace {
    /// Steps will go from `resumed_from_step` to `total_steps`.
    pub fn start(resumed_from_step: u64, total_steps: u64) -> Self {
        Self { step: resumed_from_step, total_steps, ..Self::default() }
    }

    /// One more step is done.
    pub fn record(&mut self, step: &StepRecord) {
        self.step = step.step;
        if !step.seconds.is_finite() || step.seconds <= 0.0 {
            return;
        }
        let blend = |average: Option<f64>, value: f64| Some(average.map_or(value, |old| old + NEWEST * (value - old)));
        self.seconds_per_step = blend(self.seconds_per_step, step.seconds);
        self.tokens_per_second = blend(self.tokens_per_second, step.tokens as f64 / step.seconds);
    }

    /// Tokens a second over all ranks.
    pub fn tokens_per_second(&self) -> Option<f64> {
        self.tokens_per_second
    }

    /// Seconds until the last step, evaluations and checkpoints not counted.
    pub fn remaining_seconds(&self) -> Option<f64> {
        self.seconds_per_step.map(|seconds| seconds * self.total_steps.saturating_sub(self.step) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use temper_contract::event::StepRecord;

    fn step(step: u64, tokens: u64, seconds: f64) -> StepRecord {
        StepRecord {
            step,
            epoch: 0.0,
            training_loss: 1.0,
            learning_rate: 1e-4,
            gradient_norm: 1.0,
            tokens,
            target_tokens: tokens,
            seconds,
            skipped: false,
        }
    }

    #[test]
    fn nothing_is_promised_before_the_first_step() {
        assert_eq!(Pace::start(0, 10).remaining_seconds(), None);
    }

    #[test]
    fn equal_steps_give_an_exact_estimate() {
        let mut pace = Pace::start(4, 10);
        pace.record(&step(5, 100, 2.0));
        pace.record(&step(6, 100, 2.0));
        assert_eq!((pace.remaining_seconds(), pace.tokens_per_second()), (Some(8.0), Some(50.0)));
    }

    #[test]
    fn a_slow_step_moves_the_estimate_a_little() {
        let mut pace = Pace::start(0, 3);
        pace.record(&step(1, 100, 1.0));
        pace.record(&step(2, 100, 11.0));
        assert_eq!(pace.remaining_seconds(), Some(2.0));
        pace.record(&step(3, 100, 0.0));
        assert_eq!(pace.remaining_seconds(), Some(0.0));
    }
}
