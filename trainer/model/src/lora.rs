//! Low-rank adapters (Hu et al. 2021) as PEFT defines them: settings, first values, dropout.

use crate::kernels::{self, Bf16, Matrix};
use crate::random::{Stream, name_key};
use crate::{Batch, DropoutKey};
use tch::{Kind, Tensor};
use temper_contract::config::Lora;

/// What `B A x` is multiplied by: `alpha / r`, or `alpha / sqrt(r)` rank-stabilised (Kalajdzievski 2023).
pub(crate) fn scaling(lora: &Lora) -> f64 {
    let rank = lora.r as f64;
    lora.lora_alpha / if lora.use_rslora { rank.sqrt() } else { rank }
}

/// PEFT's first values of A `[r, in]`, `kaiming_uniform(a = sqrt(5))`: uniform within 1/sqrt(in). B starts from zero.
pub(crate) fn initial_a(seed: u64, module: &str, rank: usize, in_features: usize) -> Vec<f32> {
    let bound = 1.0 / (in_features as f32).sqrt();
    let stream = Stream::new(&[seed, name_key(module)]);
    (0..(rank * in_features) as u64).map(|index| (2.0 * stream.uniform(index) - 1.0) * bound).collect()
}

/// Masks of one micro-batch. Whether channel c of a token is dropped depends on the seed, the step, the sample, the token's position, the module and
/// c alone.
#[derive(Debug)]
pub(crate) struct Dropout {
    /// A 16-bit number below this means dropped: the probability is met to 2^-17.
    threshold: u16,
    /// `1 / (1 - probability)`.
    kept_scale: f32,
    /// One stream a token.
    rows: Vec<Stream>,
}

impl Dropout {
    /// None where nothing would be dropped.
    pub(crate) fn new(probability: f64, key: &DropoutKey<'_>, batch: &Batch) -> Option<Self> {
        let threshold = (probability * 65_536.0).round().clamp(0.0, 65_535.0) as u16;
        if threshold == 0 {
            return None;
        }
        let step = Stream::new(&[key.seed, key.step]);
        let sequences = batch.sequence_lengths.iter().zip(key.samples);
        let rows = sequences.flat_map(|(&length, &sample)| (0..length as u64).map(move |position| step.with(sample).with(position)));
        Some(Self { threshold, kept_scale: (1.0 / (1.0 - probability)) as f32, rows: rows.collect() })
    }

    /// The masks of these rows only.
    pub(crate) fn select(&self, rows: &[i64]) -> Self {
        Self { rows: rows.iter().map(|&row| self.rows[row as usize]).collect(), ..*self }
    }

    /// `out_TI = mask * x_TI / (1 - probability)`, or added to `out` with `add`.
    pub(crate) fn apply(&self, module: u64, x_TI: &Tensor, out_TI: &Tensor, add: bool) {
        let mask = kernels::dropout::Mask { threshold: self.threshold, kept_scale: self.kept_scale, module, rows: &self.rows };
        match x_TI.kind() {
            Kind::Float if kernels::take(x_TI) => kernels::dropout::apply::<f32>(&mask, &Matrix::of(x_TI), &Matrix::of(out_TI), add),
            Kind::BFloat16 if kernels::take(x_TI) => kernels::dropout::apply::<Bf16>(&mask, &Matrix::of(x_TI), &Matrix::of(out_TI), add),
            _ => {
                let ones = Tensor::ones(x_TI.size(), (Kind::Float, tch::Device::Cpu));
                let factors = ones.empty_like();
                kernels::dropout::apply::<f32>(&mask, &Matrix::of(&ones), &Matrix::of(&factors), false);
                let dropped = x_TI * factors.to_device(x_TI.device()).to_kind(x_TI.kind());
                let mut out = out_TI.shallow_clone();
                if add {
                    let _ = out.g_add_(&dropped);
                } else {
                    out.copy_(&dropped);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lengths: &[usize]) -> Batch {
        let tokens = lengths.iter().sum();
        Batch { token_ids: vec![0; tokens], sequence_lengths: lengths.to_vec(), ..Batch::default() }
    }

    fn masked(key: &DropoutKey<'_>, batch: &Batch, module: u64) -> Tensor {
        let x = Tensor::ones([batch.tokens() as i64, 300], (Kind::Float, tch::Device::Cpu));
        let out = x.zeros_like();
        Dropout::new(0.25, key, batch).expect("a quarter is dropped").apply(module, &x, &out, false);
        out
    }

    #[test]
    fn a_quarter_is_dropped_and_the_rest_scaled() {
        let out = masked(&DropoutKey { seed: 1, step: 2, samples: &[9] }, &batch(&[200]), 3);
        let dropped = out.eq(0.0).to_kind(Kind::Float).mean(Kind::Float).double_value(&[]);
        assert!((dropped - 0.25).abs() < 0.01, "{dropped}");
        assert!((out.max().double_value(&[]) - 4.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn masks_follow_the_sample_not_its_place() {
        let both = masked(&DropoutKey { seed: 1, step: 2, samples: &[9, 4] }, &batch(&[20, 10]), 3);
        let alone = masked(&DropoutKey { seed: 1, step: 2, samples: &[4] }, &batch(&[10]), 3);
        assert_eq!(both.narrow(0, 20, 10), alone);
        for (seed, step, module) in [(2, 2, 3), (1, 3, 3), (1, 2, 4)] {
            assert_ne!(masked(&DropoutKey { seed, step, samples: &[4] }, &batch(&[10]), module), alone);
        }
    }

    #[test]
    fn first_values_fill_the_range_of_kaiming_uniform() {
        let values = initial_a(7, "model.layers.0.self_attn.q_proj", 8, 400);
        let largest = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert!(largest <= 0.05 && largest > 0.0499, "{largest}");
        assert_ne!(values, initial_a(7, "model.layers.1.self_attn.q_proj", 8, 400));
    }
}
