//! The learning rate of each step, as transformers' `get_cosine_schedule_with_warmup`, `get_linear_schedule_with_warmup` and
//! `get_constant_schedule_with_warmup` have it.
//!
//! Step 0 is the first optimizer step, so with a warm-up the first update has a rate of exactly 0: this is what `Trainer` does too, which
//! advances its scheduler after each update.

use temper_contract::config::{Hyperparameters, LrSchedulerType};

/// Peak rate, shape and length of a job's schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    peak: f64,
    shape: LrSchedulerType,
    warmup_steps: u64,
    total_steps: u64,
}

impl Schedule {
    pub(crate) fn new(hyperparameters: &Hyperparameters, total_steps: u64) -> Self {
        Self {
            peak: hyperparameters.learning_rate,
            shape: hyperparameters.lr_scheduler_type,
            warmup_steps: hyperparameters.warmup_steps,
            total_steps,
        }
    }

    /// The rate of the update after `step` finished ones.
    pub(crate) fn learning_rate(&self, step: u64) -> f64 {
        self.peak * self.factor(step)
    }

    fn factor(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return step as f64 / self.warmup_steps.max(1) as f64;
        }
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        match self.shape {
            LrSchedulerType::Constant => 1.0,
            LrSchedulerType::Linear => self.total_steps.saturating_sub(step) as f64 / decay_steps,
            LrSchedulerType::Cosine => {
                let progress = (step - self.warmup_steps) as f64 / decay_steps;
                (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use temper_contract::config::LrSchedulerType::{self, Constant, Cosine, Linear};

    fn rates(shape: LrSchedulerType, warmup_steps: u64, total_steps: u64) -> Vec<f64> {
        let schedule = Schedule { peak: 1.0, shape, warmup_steps, total_steps };
        (0..=total_steps).map(|step| schedule.learning_rate(step)).collect()
    }

    /// The numbers are what transformers 5's `get_scheduler` returned for 3 warm-up steps of 10.
    #[test]
    fn rates_are_those_of_transformers() {
        let third = 1.0 / 3.0;
        let table = [
            (Constant, vec![0.0, third, 2.0 * third, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
            (Linear, vec![0.0, third, 2.0 * third, 1.0, 6.0 / 7.0, 5.0 / 7.0, 4.0 / 7.0, 3.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0, 0.0]),
            (
                Cosine,
                vec![
                    0.0,
                    third,
                    2.0 * third,
                    1.0,
                    0.9504844339512095,
                    0.8117449009293668,
                    0.6112604669781572,
                    0.38873953302184283,
                    0.1882550990706333,
                    0.04951556604879048,
                    0.0,
                ],
            ),
        ];
        for (shape, expected) in table {
            let rates = rates(shape, 3, 10);
            assert!(rates.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-15), "{shape:?}: {rates:?}");
        }
    }

    #[test]
    fn a_warm_up_longer_than_the_job_only_rises() {
        assert_eq!(rates(Cosine, 8, 4), [0.0, 0.125, 0.25, 0.375, 0.5]);
    }

    #[test]
    fn without_warm_up_the_first_step_has_the_peak() {
        assert_eq!(rates(Linear, 0, 2), [1.0, 0.5, 0.0]);
    }
}
