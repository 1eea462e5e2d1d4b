//! Keys and values of the tokens so far, a layer each, so that a new token costs one row.
//!
//! Shapes: G key-value heads, D head width.

use crate::Error;
use crate::attention::Attention;
use tch::{Device, Kind, Tensor};

/// Rotated keys, and values, `[1, G, capacity, D]` each.
#[derive(Debug)]
pub(crate) struct KeyValueCache {
    layers: Vec<[Tensor; 2]>,
    /// Tokens so far, those of the pass under way not included.
    pub(crate) length: usize,
}

impl KeyValueCache {
    pub(crate) fn new(layers: &[&Attention], capacity: usize, kind: Kind, device: Device) -> Result<Self, Error> {
        let room = |attention: &&Attention| {
            let shape = [1, attention.key_value_heads as i64, capacity as i64, attention.head_dim as i64];
            let empty = || Tensor::f_empty(shape, (kind, device)).map_err(Error::libtorch("allocating the key-value cache"));
            Ok([empty()?, empty()?])
        };
        Ok(Self { layers: layers.iter().map(room).collect::<Result<_, Error>>()?, length: 0 })
    }

    /// Attention of the new rows `qkv` over themselves and everything before them, written to the first columns of `out`.
    pub(crate) fn attend(&mut self, layer: usize, attention: &Attention, qkv: &Tensor, out: &Tensor) -> Result<(), Error> {
        let new = qkv.size()[0];
        let (start, total) = (self.length as i64, self.length as i64 + new);
        let [q, k, v] = attention.split(qkv, &(0..new as usize));
        let [keys, values] = &self.layers[layer];
        keys.narrow(2, start, new).copy_(&k);
        values.narrow(2, start, new).copy_(&v);
        attention.extend(&q, &keys.narrow(2, 0, total), &values.narrow(2, 0, total), out)
    }
}
