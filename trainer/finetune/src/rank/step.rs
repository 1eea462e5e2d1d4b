//! One optimizer step: forward and back over this rank's micro-batches, sums over all ranks, update.

use super::data::count;
use super::evaluation::flat_batch;
use super::training::{Progress, Training};
use crate::failure::{Failure, Result};
use crate::kill_point::{self, kill_point};
use crate::optimizer::{self, Verdict, global_norm, judge};
use std::time::Instant;
use temper_contract::ExitCode;
use temper_contract::config::Method;
use temper_contract::event::StepRecord;
use temper_data::TokenCache;
use temper_data::sampler::StepBatches;
use temper_model::DropoutKey;

impl Training {
    /// Runs the next step. Every rank sees the same sums, so all of them update, skip or fail alike.
    pub(super) fn step(&mut self) -> Result<Progress> {
        let started = Instant::now();
        let batches = self.plan.step(self.state.step);
        let counts = count(&self.data.train, batches.micro_batches.iter().flatten());
        let local_loss = self.accumulate(&batches, 1.0 / counts.targets.max(1) as f64)?;
        let stop = f64::from(u8::from(self.stop.is_set()));
        let [loss_sum, stops] = self.exchange.sum([local_loss, stop], self.device)?;
        let training_loss = loss_sum / counts.targets.max(1) as f64;
        let gradient_norm = global_norm(&self.model.trainable().gradient);
        let learning_rate = self.schedule.learning_rate(self.state.step);
        let verdict = judge(training_loss, gradient_norm, self.config.hyperparameters.max_grad_norm);
        self.apply(verdict, learning_rate)?;
        self.state.step += 1;
        if verdict != Verdict::Skip {
            self.state.training_loss = training_loss;
        }
        self.state.tokens += counts.tokens;
        let seconds = started.elapsed().as_secs_f64();
        self.state.step_seconds += seconds;
        kill_point(kill_point::STEP_APPLIED);
        self.observers.step_done(StepRecord {
            step: self.state.step,
            epoch: self.plan.epoch_after(self.state.step),
            training_loss,
            learning_rate,
            gradient_norm,
            tokens: counts.tokens,
            target_tokens: counts.targets,
            seconds,
            skipped: verdict == Verdict::Skip,
        })?;
        self.check_divergence(training_loss, gradient_norm)?;
        Ok(if stops > 0.0 { Progress::Stop } else { Progress::Continue })
    }

    /// Leaves the sum of all ranks' gradients in the flat gradient; returns this rank's sum of losses. During this rank's last
    /// micro-batch the exchange of each bucket starts as soon as backward is through with it.
    fn accumulate(&mut self, batches: &StepBatches, scale: f64) -> Result<f64> {
        let _ = self.model.trainable_mut().gradient.zero_();
        let gradient = self.model.trainable().gradient.shallow_clone();
        let buckets = self.model.trainable().buckets().to_vec();
        let mut sums = self.exchange.buckets(&gradient, &buckets);
        let has_dropout = matches!(&self.config.method, Method::Lora(lora) if lora.lora_dropout > 0.0);
        let mine: Vec<&[usize]> = batches.of_rank(self.exchange.rank(), self.exchange.world_size()).map(|(_, examples)| examples).collect();
        let mut loss_sum = 0.0;
        for (index, examples) in mine.iter().enumerate() {
            let batch = flat_batch(&self.data.train, examples);
            let samples = sample_numbers(&self.data.train, examples);
            let key = DropoutKey { seed: self.config.hyperparameters.seed, step: self.state.step, samples: &samples };
            let is_last = index + 1 == mine.len();
            let mut started = Ok(());
            let mut on_bucket = |bucket| {
                if is_last && started.is_ok() {
                    started = sums.start(bucket);
                }
            };
            loss_sum += self.model.forward_backward(&batch, scale, has_dropout.then_some(key), &mut on_bucket)?;
            started?;
        }
        sums.finish()?;
        Ok(loss_sum)
    }

    fn apply(&mut self, verdict: Verdict, learning_rate: f64) -> Result<()> {
        let Verdict::Update { gradient_scale } = verdict else {
            self.state.non_finite_in_a_row += 1;
            return Ok(());
        };
        self.state.non_finite_in_a_row = 0;
        self.state.updates += 1;
        let hyperparameters = &self.config.hyperparameters;
        let parameters = self.model.trainable_mut();
        optimizer::update(hyperparameters, learning_rate, self.state.updates, gradient_scale, parameters, &mut self.moments)?;
        self.model.sync_compute_weights();
        Ok(())
    }

    fn check_divergence(&self, training_loss: f64, gradient_norm: f64) -> Result<()> {
        let in_a_row = self.state.non_finite_in_a_row;
        if in_a_row == 0 {
            return Ok(());
        }
        let step = self.state.step;
        tracing::warn!(step, training_loss, gradient_norm, in_a_row, "skipped the update: loss or gradient is not finite");
        if in_a_row <= self.config.failure.max_non_finite_steps {
            return Ok(());
        }
        Err(Failure::new(
            ExitCode::Diverged,
            format!(
                "training diverged: loss {training_loss} and gradient norm {gradient_norm} at step {step}, {in_a_row} steps in a row were not finite"
            ),
            "lower spec.hyperparameters.learningRate or maxGradNorm, add warmupSteps, or look for broken rows around that step",
        ))
    }
}

/// Numbers of a micro-batch's sequences among all of the step: they follow from the examples alone, so dropout does not depend on the
/// number of ranks.
fn sample_numbers(cache: &TokenCache, examples: &[usize]) -> Vec<u64> {
    const SEGMENTS_AT_MOST: u64 = 1 << 24;
    let of_example = |&example: &usize| {
        let full = cache.example(example).segments().filter(|segment| !segment.ids.is_empty()).count() as u64;
        (0..full).map(move |segment| example as u64 * SEGMENTS_AT_MOST + segment)
    };
    examples.iter().flat_map(of_example).collect()
}
