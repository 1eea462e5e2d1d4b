//! Memory for activations that is kept from one micro-batch to the next, so that the system need not hand out (and clear) pages anew.

use crate::arithmetic::Arithmetic;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// Named buffers that grow to the largest size asked for.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) arithmetic: Arithmetic,
    pub(crate) device: Device,
    buffers: HashMap<(&'static str, usize, Kind), Tensor>,
}

/// A buffer that backward reads again.
#[derive(Debug)]
pub(crate) struct Kept {
    /// In the type that operations work in. Where that differs from `stored`'s, it is shared by all layers.
    pub(crate) work: Tensor,
    /// In the type in which it rests until backward, where that is not `work` itself.
    stored: Option<Tensor>,
}

impl Kept {
    /// Puts what `work` holds aside until backward.
    pub(crate) fn keep(&self) {
        if let Some(stored) = &self.stored {
            stored.shallow_clone().copy_(&self.work);
        }
    }

    /// What was put aside, in the type that operations work in.
    pub(crate) fn restore(self) -> Tensor {
        if let Some(stored) = &self.stored {
            self.work.shallow_clone().copy_(stored);
        }
        self.work
    }
}

/// Whether activations will be needed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Backward follows: each layer has its own.
    ForBackward,
    /// Only the result matters: layers share.
    Nothing,
}

/// Buffers not of a layer.
const SHARED: usize = usize::MAX;

impl Workspace {
    pub(crate) fn new(arithmetic: Arithmetic, device: Device) -> Self {
        Self { arithmetic, device, buffers: HashMap::new() }
    }

    /// `[rows, columns]` of scratch; its contents are what the last user of the name left.
    pub(crate) fn scratch(&mut self, name: &'static str, rows: usize, columns: usize) -> Tensor {
        let kind = self.arithmetic.work();
        self.buffer(name, SHARED, kind, rows, columns)
    }

    /// `[rows, columns]` that a layer's backward will read again.
    pub(crate) fn kept(&mut self, name: &'static str, layer: usize, keep: Keep, rows: usize, columns: usize) -> Kept {
        let (work, storage) = (self.arithmetic.work(), self.arithmetic.storage());
        match keep {
            Keep::Nothing => Kept { work: self.buffer(name, SHARED, work, rows, columns), stored: None },
            Keep::ForBackward if work == storage => Kept { work: self.buffer(name, layer, work, rows, columns), stored: None },
            Keep::ForBackward => Kept {
                work: self.buffer(name, SHARED, work, rows, columns),
                stored: Some(self.buffer(name, layer, storage, rows, columns)),
            },
        }
    }

    fn buffer(&mut self, name: &'static str, layer: usize, kind: Kind, rows: usize, columns: usize) -> Tensor {
        let needed = (rows * columns) as i64;
        let key = (name, layer, kind);
        if self.buffers.get(&key).is_none_or(|buffer| buffer.size()[0] < needed) {
            // The old one goes first, so that the two never exist together.
            self.buffers.remove(&key);
            self.buffers.insert(key, Tensor::empty([needed], (kind, self.device)));
        }
        self.buffers[&key].narrow(0, 0, needed).view([rows as i64, columns as i64])
    }
}
