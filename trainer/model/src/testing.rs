//! Reproducible values and comparisons for this crate's tests.

use crate::random::Stream;
use tch::{Kind, Tensor};

/// Values between -1 and 1 that depend on the shape and the seed alone.
pub(crate) fn random(shape: &[i64], seed: u64) -> Tensor {
    let elements: i64 = shape.iter().product();
    let stream = Stream::new(&[seed]);
    let values: Vec<f32> = (0..elements as u64).map(|index| 2.0 * stream.uniform(index) - 1.0).collect();
    Tensor::from_slice(&values).view(shape)
}

/// `max |a - b| / max |b|`.
pub(crate) fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let (a, b) = (a.detach().to_kind(Kind::Double), b.detach().to_kind(Kind::Double));
    if a.numel() == 0 {
        return 0.0;
    }
    let size = b.abs().max().double_value(&[]);
    (a - b).abs().max().double_value(&[]) / if size > 0.0 { size } else { 1.0 }
}

/// Fails unless `distance(a, b) <= tolerance`.
#[track_caller]
pub(crate) fn close(a: &Tensor, b: &Tensor, tolerance: f64) {
    let distance = distance(a, b);
    assert!(distance <= tolerance, "max |a - b| / max |b| is {distance:.3e}, above {tolerance:.0e}");
}
