//! Sums over all ranks: gradients in buckets while backward goes on, and a few numbers a step.
//!
//! With one rank there is nothing to exchange and the same calls do nothing.

use crate::failure::{Failure, Result};
use std::ops::Range;
use std::time::{Duration, Instant};
use tch::{Device, Tensor};
use temper_c10d::{ProcessGroup, Store, Work};

/// Time between looks whether rank 0 has done what it does alone.
const LOOK: Duration = Duration::from_millis(5);
/// The same for whether it gets on.
const SIGN_LOOK: Duration = Duration::from_millis(500);
/// The key that counts rank 0's signs.
const SIGNS: &str = "count";

/// The key that says what rank 0 has done.
fn done_at(step: u64) -> String {
    format!("done-{step}")
}

/// This rank's end of the group.
#[derive(Debug)]
pub(crate) struct Exchange {
    group: Option<ProcessGroup>,
    /// Where rank 0 says how it gets on with what it does alone.
    signs: Option<Store>,
    rank: usize,
    world_size: usize,
    timeout: Duration,
}

impl Exchange {
    /// One rank, which needs nobody.
    pub(crate) fn alone() -> Self {
        Self { group: None, signs: None, rank: 0, world_size: 1, timeout: Duration::ZERO }
    }

    /// One of several ranks. A peer's death ends a collective at once, its silence after `timeout`.
    /// `signs` is a part of the group's store that nobody else uses.
    pub(crate) fn among(group: ProcessGroup, signs: Store, timeout: Duration) -> Self {
        Self { rank: group.rank(), world_size: group.size(), group: Some(group), signs: Some(signs), timeout }
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    pub(crate) fn world_size(&self) -> usize {
        self.world_size
    }

    /// Replaces each number by its sum over all ranks, in fp64. The bits are the same on all of them.
    pub(crate) fn sum<const N: usize>(&self, numbers: [f64; N], device: Device) -> Result<[f64; N]> {
        let Some(group) = &self.group else { return Ok(numbers) };
        let tensor = Tensor::from_slice(&numbers).to_device(device);
        group.all_reduce_sum(&tensor)?.wait(self.timeout)?;
        let mut sums = [0.0; N];
        tensor.to_device(Device::Cpu).f_copy_data(&mut sums, N).map_err(|error| Failure::unexpected(error.to_string()))?;
        Ok(sums)
    }

    /// Replaces a tensor by rank 0's.
    pub(crate) fn copy_from_first(&self, tensor: &Tensor) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        Ok(group.broadcast(tensor, 0)?.wait(self.timeout)?)
    }

    /// Rank 0 gets on with what the others wait for (see [`Exchange::wait_for_first`]).
    pub(crate) fn tell_others(&self) {
        if let Some(signs) = &self.signs {
            // One that is lost is told again in a moment; who has lost the store learns so when it has done.
            let _ = signs.add(SIGNS, 1);
        }
    }

    /// Rank 0 has done what it does alone at this step.
    pub(crate) fn first_has_done(&self, step: u64) -> Result<()> {
        let Some(signs) = &self.signs else { return Ok(()) };
        Ok(signs.set(&done_at(step), b"1")?)
    }

    /// Waits until rank 0 has done what it does alone at this step; `on_sign` is called when it gets on. There is no limit: whether rank 0
    /// lives and gets on is watched by its own supervisor, which ends all of them together.
    pub(crate) fn wait_for_first(&self, step: u64, mut on_sign: impl FnMut()) -> Result<()> {
        let Some(signs) = &self.signs else { return Ok(()) };
        let (done, mut seen, mut looked_at) = (done_at(step), 0, Instant::now());
        while !signs.contains(&done)? {
            std::thread::sleep(LOOK);
            if looked_at.elapsed() >= SIGN_LOOK {
                looked_at = Instant::now();
                let signed = signs.add(SIGNS, 0)?;
                if signed != seen {
                    seen = signed;
                    on_sign();
                }
            }
        }
        Ok(())
    }

    /// Starts to collect the sums of a gradient's buckets.
    pub(crate) fn buckets<'a>(&'a self, gradient: &'a Tensor, buckets: &'a [Range<usize>]) -> BucketSums<'a> {
        BucketSums { exchange: self, gradient: gradient.shallow_clone(), buckets, under_way: Vec::new() }
    }

    /// Returns when all ranks are here.
    pub(crate) fn finish(self) -> Result<()> {
        self.group.map_or(Ok(()), |group| Ok(group.finish(self.timeout)?))
    }
}

/// The sums of one step's gradient. Buckets start in ascending order on every rank; c10d matches collectives by their order.
pub(crate) struct BucketSums<'a> {
    exchange: &'a Exchange,
    gradient: Tensor,
    buckets: &'a [Range<usize>],
    under_way: Vec<Work>,
}

impl BucketSums<'_> {
    /// Bucket `index` is complete on this rank: its sum starts, in the background.
    pub(crate) fn start(&mut self, index: usize) -> Result<()> {
        let Some(group) = &self.exchange.group else { return Ok(()) };
        let range = &self.buckets[index];
        debug_assert_eq!(index, self.under_way.len(), "buckets start in order");
        self.under_way.push(group.all_reduce_sum(&self.gradient.narrow(0, range.start as i64, range.len() as i64))?);
        Ok(())
    }

    /// Starts the buckets that no micro-batch of this rank has touched, and waits for all of them.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.exchange.group.is_some() {
            for index in self.under_way.len()..self.buckets.len() {
                self.start(index)?;
            }
        }
        for work in &self.under_way {
            work.wait(self.exchange.timeout)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Exchange;
    use std::sync::mpsc::channel;
    use std::time::Duration;
    use temper_c10d::Store;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn who_waits_for_rank_0_hears_that_it_gets_on_and_that_it_has_done() {
        let store = Store::host(0, PATIENCE).expect("a free port");
        let end = |store: Store, rank| Exchange { group: None, signs: Some(store), rank, world_size: 2, timeout: PATIENCE };
        let waiting = end(store.reconnect(PATIENCE).expect("it listens"), 1);
        let first = end(store, 0);
        let (heard, hears) = channel();
        let waits = std::thread::spawn(move || {
            waiting.wait_for_first(4, || {
                let _ = heard.send(());
            })
        });
        first.first_has_done(3).expect("set");
        while hears.recv_timeout(Duration::from_millis(20)).is_err() {
            first.tell_others();
        }
        assert!(!waits.is_finished(), "what is done is an earlier step's");
        first.first_has_done(4).expect("set");
        waits.join().expect("no panic").expect("no error");
    }
}
