//! All trained values in one flat fp32 tensor, and their gradients in another of the same layout.

use crate::Error;
use crate::layout::Entry;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// A trained parameter: a range of the flat tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name in the saved file: `model.layers.0.mlp.up_proj.weight`, or PEFT's
    /// `base_model.model.model.layers.0.mlp.up_proj.lora_A.weight`.
    pub name: String,
    /// Its shape; row-major in the range.
    pub shape: Vec<usize>,
    /// Where it is.
    pub range: Range<usize>,
    /// Whether weight decay applies: to matrices, not to norms and biases.
    pub decay: bool,
}

/// The trained values in the order in which backward completes their gradients.
#[derive(Debug)]
pub struct FlatParameters {
    parameters: Vec<Parameter>,
    buckets: Vec<Range<usize>>,
    /// `[P]` fp32: the values that the optimizer changes. Call `Model::sync_compute_weights` afterwards.
    pub master: Tensor,
    /// `[P]` fp32: sums of gradients since the caller last zeroed it. Of a model that was loaded to receive values, one zero that stands
    /// for all P: not to be written to.
    pub gradient: Tensor,
}

/// Gradients are exchanged in pieces of about this many elements (25 MiB, as PyTorch's DDP).
const BUCKET_ELEMENTS: usize = 25 * 1024 * 1024 / 4;
/// Small models still get about this many buckets, so that the exchange overlaps with backward.
const BUCKETS_AT_LEAST: usize = 6;

impl FlatParameters {
    /// Lays out `groups` one after another. A group is what backward completes at a time (a layer): buckets end between groups.
    pub(crate) fn new(groups: Vec<Vec<Entry>>, device: Device) -> Result<Self, Error> {
        let (parameters, ends) = lay_out(groups);
        let length = ends.last().copied().unwrap_or(0);
        Ok(Self { parameters, buckets: buckets(&ends), master: zeros(length, device)?, gradient: zeros(length, device)? })
    }

    /// The same without room for gradients.
    pub(crate) fn without_gradients(groups: Vec<Vec<Entry>>, device: Device) -> Result<Self, Error> {
        let (parameters, ends) = lay_out(groups);
        let length = ends.last().copied().unwrap_or(0);
        // Views of it are asked for while the model is put together, so that it has to be of the whole length.
        let gradient = zeros(1, device)?.f_expand([length as i64], false).map_err(Error::libtorch("laying out trained parameters"))?;
        Ok(Self { parameters, buckets: buckets(&ends), master: zeros(length, device)?, gradient })
    }

    /// Whether each value has a gradient of its own.
    pub(crate) fn has_gradients(&self) -> bool {
        self.gradient.is_contiguous()
    }

    /// Each parameter with its range, ascending.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Ranges that backward completes one after another; they cover everything.
    pub fn buckets(&self) -> &[Range<usize>] {
        &self.buckets
    }

    /// Number of trained values P.
    pub fn len(&self) -> usize {
        self.parameters.last().map_or(0, |parameter| parameter.range.end)
    }

    /// Whether nothing is trained.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ranges of neighbours that share whether weight decay applies: one optimizer call each.
    pub fn decay_segments(&self) -> Vec<(Range<usize>, bool)> {
        let mut segments: Vec<(Range<usize>, bool)> = Vec::new();
        for parameter in &self.parameters {
            match segments.last_mut() {
                Some((range, decay)) if *decay == parameter.decay => range.end = parameter.range.end,
                _ => segments.push((parameter.range.clone(), parameter.decay)),
            }
        }
        segments
    }

    /// A parameter by name.
    pub fn find(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// A view of a parameter's values, in its shape.
    pub fn value(&self, parameter: &Parameter) -> Tensor {
        view(&self.master, &parameter.range, &parameter.shape)
    }

    /// A view of a parameter's gradient, in its shape.
    pub fn gradient_of(&self, parameter: &Parameter) -> Tensor {
        view(&self.gradient, &parameter.range, &parameter.shape)
    }
}

/// The parameters with their ranges, and where each group ends.
fn lay_out(groups: Vec<Vec<Entry>>) -> (Vec<Parameter>, Vec<usize>) {
    let mut parameters = Vec::new();
    let mut ends = Vec::new();
    let mut offset = 0;
    for group in groups {
        for (name, shape, decay) in group {
            let elements: usize = shape.iter().product();
            parameters.push(Parameter { name, shape, range: offset..offset + elements, decay });
            offset += elements;
        }
        ends.push(offset);
    }
    (parameters, ends)
}

/// `[length]` fp32.
fn zeros(length: usize, device: Device) -> Result<Tensor, Error> {
    Tensor::f_zeros([length as i64], (Kind::Float, device)).map_err(Error::libtorch("allocating trained parameters"))
}

/// A view of `range` of a flat tensor.
pub(crate) fn view(flat: &Tensor, range: &Range<usize>, shape: &[usize]) -> Tensor {
    let shape: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
    flat.narrow(0, range.start as i64, range.len() as i64).view(shape.as_slice())
}

/// Joins neighbouring groups, given their ascending ends, into buckets of about the wanted size.
fn buckets(ends: &[usize]) -> Vec<Range<usize>> {
    let total = ends.last().copied().unwrap_or(0);
    let wanted = BUCKET_ELEMENTS.min(total.div_ceil(BUCKETS_AT_LEAST)).max(1);
    let mut buckets = Vec::new();
    let mut start = 0;
    for &end in ends {
        if end - start >= wanted || (end == total && end > start) {
            buckets.push(start..end);
            start = end;
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // one bucket
    fn buckets_cover_everything_and_end_between_groups() {
        let cases: [(&[usize], &[Range<usize>]); 4] = [
            (&[], &[]),
            (&[7], &[0..7]),
            (&[1, 2, 3, 4, 5, 6], &[0..1, 1..2, 2..3, 3..4, 4..5, 5..6]),
            (&[1, 2, 60, 61, 62], &[0..60, 60..62]),
        ];
        for (ends, expected) in cases {
            assert_eq!(buckets(ends), expected, "{ends:?}");
        }
    }

    #[test]
    fn segments_join_neighbours() {
        let group = vec![("a".to_owned(), vec![2, 3], true), ("b".to_owned(), vec![4], false), ("c".to_owned(), vec![5], false)];
        let flat = FlatParameters::new(vec![group, vec![("d".to_owned(), vec![1], true)]], Device::Cpu).expect("small");
        assert_eq!(flat.decay_segments(), [(0..6, true), (6..15, false), (15..16, true)]);
        assert_eq!(flat.len(), 16);
        let c = flat.find("c").expect("laid out above");
        let _ = flat.value(c).fill_(2.0);
        assert_eq!(flat.master.sum(Kind::Float).double_value(&[]), 10.0, "the value is a view");
    }
}
