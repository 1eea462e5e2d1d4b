//! Sums over all ranks: gradients in buckets while backward goes on, and a few numbers a step.
//!
//! With one rank there is nothing to exchange and the same calls do nothing.

use crate::failure::{Failure, Result};
use std::ops::Range;
use std::time::Duration;
use tch::{Device, Tensor};
use temper_c10d::{ProcessGroup, Work};

/// This rank's end of the group.
#[derive(Debug)]
pub(crate) struct Exchange {
    group: Option<ProcessGroup>,
    rank: usize,
    world_size: usize,
    timeout: Duration,
}

impl Exchange {
    /// One rank, which needs nobody.
    pub(crate) fn alone() -> Self {
        Self { group: None, rank: 0, world_size: 1, timeout: Duration::ZERO }
    }

    /// One of several ranks. A peer's death ends a collective at once, its silence after `timeout`.
    pub(crate) fn among(group: ProcessGroup, timeout: Duration) -> Self {
        Self { rank: group.rank(), world_size: group.size(), group: Some(group), timeout }
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
