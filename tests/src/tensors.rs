//! Tensors in safetensors files, compared.

use safetensors::SafeTensors;
use std::path::Path;

/// The fp32 values of a tensor in a safetensors file.
///
/// # Panics
/// When the file cannot be read or lacks the tensor.
pub fn read(path: &Path, name: &str) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(tensor.dtype(), safetensors::Dtype::F32, "{name} in {}", path.display());
    tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
}

/// `max |a - b| / max |b|`.
///
/// # Panics
/// When the lengths differ.
pub fn relative_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    // A difference that is not a number must not pass as a small one.
    let difference = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0f32, |worst, d| if d > worst || d.is_nan() { d } else { worst });
    difference / largest
}
