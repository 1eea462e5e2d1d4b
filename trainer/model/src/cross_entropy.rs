//! Cross-entropy of softmax over the vocabulary, and its gradient written over the logits.
//!
//! Shapes: N rows, V vocabulary.

use crate::kernels::{self, Bf16, Matrix};
use tch::{Kind, Tensor};

/// Losses `-ln softmax(z)[target]` in nats, `[N, 1]` fp32. With `scale`, `logits_NV` become `scale * (softmax(z) - onehot(target))`.
pub(crate) fn cross_entropy(logits_NV: &Tensor, targets_N: &[i64], scale: Option<f64>) -> Tensor {
    let losses = Tensor::empty([logits_NV.size()[0], 1], (Kind::Float, logits_NV.device()));
    let scale_fp32 = scale.map(|scale| scale as f32);
    match logits_NV.kind() {
        Kind::Float if kernels::take(logits_NV) => {
            kernels::softmax::cross_entropy::<f32>(&Matrix::of(logits_NV), targets_N, scale_fp32, &Matrix::of(&losses));
            losses
        }
        Kind::BFloat16 if kernels::take(logits_NV) => {
            kernels::softmax::cross_entropy::<Bf16>(&Matrix::of(logits_NV), targets_N, scale_fp32, &Matrix::of(&losses));
            losses
        }
        _ => cross_entropy_aten(logits_NV, targets_N, scale),
    }
}

fn cross_entropy_aten(logits_NV: &Tensor, targets_N: &[i64], scale: Option<f64>) -> Tensor {
    let targets = Tensor::from_slice(targets_N).to_device(logits_NV.device()).unsqueeze(1);
    let log_probabilities = logits_NV.to_kind(Kind::Float).log_softmax(1, Kind::Float);
    let losses = -log_probabilities.gather(1, &targets, false);
    if let Some(scale) = scale {
        let gradient = log_probabilities.exp();
        let ones = Tensor::ones(targets.size(), (Kind::Float, logits_NV.device()));
        let gradient = gradient.scatter_add(1, &targets, &-ones) * scale;
        logits_NV.shallow_clone().copy_(&gradient);
    }
    losses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, random};

    #[test]
    fn the_kernel_equals_aten() {
        for vocabulary in [1, 7, 32, 1000] {
            for (kind, tolerance) in [(Kind::Float, 3e-6), (Kind::BFloat16, 1e-2)] {
                let logits = (random(&[6, vocabulary], 1) * 20.0).to_kind(kind);
                let targets: Vec<i64> = (0..6).map(|n| (n * 5) % vocabulary).collect();
                let (kernel, aten) = (logits.copy(), logits.copy());
                close(&cross_entropy(&kernel, &targets, Some(0.3)), &cross_entropy_aten(&aten, &targets, Some(0.3)), 1e-5);
                close(&kernel, &aten, tolerance);
                let untouched = logits.copy();
                close(&cross_entropy(&untouched, &targets, None), &cross_entropy_aten(&logits, &targets, None), 1e-5);
                assert_eq!(untouched, logits);
            }
        }
    }

    #[test]
    fn huge_logits_neither_overflow_nor_lose_the_loss() {
        let logits = Tensor::from_slice(&[1e4f32, 0.0, -1e4]).view([1, 3]);
        let loss = cross_entropy(&logits, &[1], Some(1.0)).double_value(&[0, 0]);
        assert_eq!(loss, 1e4);
        assert_eq!(logits, Tensor::from_slice(&[1f32, -1.0, 0.0]).view([1, 3]));
    }
}
