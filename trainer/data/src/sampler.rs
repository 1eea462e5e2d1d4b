//! Which examples each optimizer step sees. Everything here is a pure function of a few numbers, so a resumed job, on any number of
//! ranks, goes on with exactly the examples that are still due.

use crate::random::{SplitMix64, permutation};
use std::sync::{Arc, Mutex, PoisonError};

/// The examples of every step of a job.
///
/// Each epoch visits every example once, in an order drawn from (seed, epoch). It is cut into micro-batches of `per_micro_batch`
/// examples and these into steps of `micro_batches_per_step`; an epoch's last micro-batch and last step take what is left. The world
/// size appears nowhere: rank r of w computes the micro-batches i of a step with `i % w == r`.
#[derive(Debug)]
pub struct Plan {
    seed: u64,
    examples: u32,
    per_micro_batch: usize,
    micro_batches_per_step: usize,
    steps_per_epoch: u64,
    total_steps: u64,
    /// The order of the epoch asked for last: drawing it anew for each step would cost a pass over all examples.
    order: Mutex<Option<(u64, Arc<[u32]>)>>,
}

/// The examples of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepBatches {
    /// The pass over the data that the step belongs to, from 0.
    pub epoch: u64,
    /// Indexes of examples, one list a micro-batch, in the order of the global batch.
    pub micro_batches: Vec<Vec<usize>>,
}

impl StepBatches {
    /// The micro-batches of one rank, as (index within the step, examples).
    pub fn of_rank(&self, rank: usize, world_size: usize) -> impl Iterator<Item = (usize, &[usize])> {
        self.micro_batches.iter().enumerate().skip(rank).step_by(world_size.max(1)).map(|(index, examples)| (index, examples.as_slice()))
    }
}

impl Plan {
    /// Plans `epochs` passes (a fraction is a part of a pass, rounded up to a whole step, as in transformers) over `examples` examples,
    /// or exactly `max_steps` steps where that is given. Sizes of 0 are taken as 1; without examples there are no steps.
    pub fn new(
        seed: u64,
        examples: usize,
        per_micro_batch: usize,
        micro_batches_per_step: usize,
        epochs: f64,
        max_steps: Option<u64>,
    ) -> Self {
        let (per_micro_batch, micro_batches_per_step) = (per_micro_batch.max(1), micro_batches_per_step.max(1));
        // A token cache holds fewer than 2^32 examples (its writer sees to it).
        let examples = u32::try_from(examples).unwrap_or(u32::MAX);
        let micro_batches = (examples as usize).div_ceil(per_micro_batch);
        let steps_per_epoch = micro_batches.div_ceil(micro_batches_per_step) as u64;
        let total_steps = match max_steps {
            _ if steps_per_epoch == 0 => 0,
            Some(steps) => steps,
            // `as` saturates, so that a negative, huge or undefined number of epochs is harmless.
            None => (epochs * steps_per_epoch as f64).ceil() as u64,
        };
        Self { seed, examples, per_micro_batch, micro_batches_per_step, steps_per_epoch, total_steps, order: Mutex::new(None) }
    }

    /// The number of optimizer steps of the whole job.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// The number of optimizer steps in one pass over the data.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// Passes over the data after so many steps, as a fraction.
    pub fn epoch_after(&self, steps: u64) -> f64 {
        if self.steps_per_epoch == 0 { 0.0 } else { steps as f64 / self.steps_per_epoch as f64 }
    }

    /// What step `step` sees, counted from 0: after a checkpoint of `n` finished steps comes `step(n)`. Steps past the last are defined
    /// too (further epochs). Without examples there are no micro-batches.
    pub fn step(&self, step: u64) -> StepBatches {
        if self.steps_per_epoch == 0 {
            return StepBatches { epoch: 0, micro_batches: Vec::new() };
        }
        let (epoch, step_of_epoch) = (step / self.steps_per_epoch, (step % self.steps_per_epoch) as usize);
        let order = self.order_of(epoch);
        let per_step = self.per_micro_batch.saturating_mul(self.micro_batches_per_step);
        let start = step_of_epoch * per_step;
        let due = &order[start..start.saturating_add(per_step).min(order.len())];
        let micro_batches = due.chunks(self.per_micro_batch).map(|examples| examples.iter().map(|&example| example as usize).collect());
        StepBatches { epoch, micro_batches: micro_batches.collect() }
    }

    fn order_of(&self, epoch: u64) -> Arc<[u32]> {
        // A panic elsewhere cannot leave a half-written order behind, so a poisoned lock is as good as a sound one.
        let mut cached = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((of, order)) if *of == epoch => Arc::clone(order),
            _ => {
                let order: Arc<[u32]> = permutation(self.examples, &mut SplitMix64::new(self.seed, epoch)).into();
                *cached = Some((epoch, Arc::clone(&order)));
                order
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_epoch_sees_every_example_once(seed: u64, examples in 1usize..200, batch in 1usize..9, micro in 1usize..7, epoch in 0u64..3) {
            let plan = Plan::new(seed, examples, batch, micro, 3.0, None);
            let mut seen = Vec::new();
            for step in epoch * plan.steps_per_epoch()..(epoch + 1) * plan.steps_per_epoch() {
                let batches = plan.step(step);
                prop_assert_eq!(batches.epoch, epoch);
                prop_assert!(!batches.micro_batches.is_empty() && batches.micro_batches.len() <= micro);
                prop_assert!(batches.micro_batches.iter().all(|examples| !examples.is_empty() && examples.len() <= batch));
                seen.extend(batches.micro_batches.into_iter().flatten());
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..examples).collect::<Vec<_>>());
        }

        #[test]
        fn ranks_divide_a_step_whatever_their_number(seed: u64, examples in 1usize..100, world in 1usize..9, step in 0u64..20) {
            let batches = Plan::new(seed, examples, 3, 4, 1.0, None).step(step);
            let mut divided: Vec<(usize, &[usize])> = (0..world).flat_map(|rank| batches.of_rank(rank, world)).collect();
            divided.sort_unstable();
            let whole: Vec<(usize, &[usize])> = batches.micro_batches.iter().enumerate().map(|(index, examples)| (index, examples.as_slice())).collect();
            prop_assert_eq!(divided, whole);
        }

        #[test]
        fn a_step_is_the_same_whenever_it_is_asked_for(seed: u64, steps in proptest::collection::vec(0u64..40, 1..20)) {
            let plan = Plan::new(seed, 50, 4, 2, 10.0, None);
            for step in steps {
                prop_assert_eq!(plan.step(step), Plan::new(seed, 50, 4, 2, 10.0, None).step(step));
            }
        }
    }

    #[test]
    fn steps_are_counted_as_transformers_counts_them() {
        // (examples, per micro-batch, micro-batches a step, epochs, max steps) -> steps
        let table = [
            ((10, 4, 2, 1.0, None), 2),
            ((10, 4, 2, 2.5, None), 5),
            ((10, 4, 2, 0.4, None), 1),
            ((16, 4, 4, 3.0, None), 3),
            ((10, 4, 2, 1.0, Some(7)), 7),
            ((0, 4, 2, 1.0, Some(7)), 0),
            ((0, 4, 2, 1.0, None), 0),
            ((5, 0, 0, 1.0, None), 5),
            ((5, 1, 1, f64::NAN, None), 0),
        ];
        for ((examples, batch, micro, epochs, max_steps), steps) in table {
            assert_eq!(Plan::new(1, examples, batch, micro, epochs, max_steps).total_steps(), steps, "{examples} {batch} {micro} {epochs}");
        }
    }

    #[test]
    fn the_last_step_of_an_epoch_takes_what_is_left() {
        let sizes: Vec<Vec<usize>> =
            (0..2).map(|step| Plan::new(1, 11, 3, 3, 1.0, None).step(step).micro_batches.iter().map(Vec::len).collect()).collect();
        assert_eq!(sizes, [vec![3, 3, 3], vec![2]]);
    }

    #[test]
    fn epochs_and_seeds_differ_in_order() {
        let plan = Plan::new(7, 64, 64, 1, 2.0, None);
        assert_ne!(plan.step(0).micro_batches, plan.step(1).micro_batches);
        assert_ne!(plan.step(0).micro_batches, Plan::new(8, 64, 64, 1, 2.0, None).step(0).micro_batches);
    }
}
