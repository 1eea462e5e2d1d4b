//! Rotary position embeddings (Su et al. 2021), in place on the rows that hold queries and keys.
//!
//! Shapes: T tokens, P positions, D head width, I = D/2 frequencies, C columns of a row.

use crate::kernels::{self, Bf16, Element, Matrix};
use tch::{Device, Kind, Tensor};
use temper_artifact::ModelConfig;

/// Cosines and sines of the angles of every position so far seen.
#[derive(Debug)]
pub(crate) struct RotaryTable {
    /// `[I]` angle a position.
    frequencies: Vec<f64>,
    /// `[P, I]` fp32.
    cos_PI: Tensor,
    sin_PI: Tensor,
    device: Device,
}

impl RotaryTable {
    pub(crate) fn new(config: &ModelConfig, device: Device) -> Self {
        let divisors = config.rope_scaling.frequency_divisors(config.rope_theta, config.head_dim);
        // transformers computes frequencies and angles in fp32; rounding as it does keeps long positions equal.
        let frequency = |(i, divisor): (usize, f64)| {
            let exponent = (2 * i) as f32 / config.head_dim as f32;
            let plain = 1.0 / (config.rope_theta as f32).powf(exponent);
            f64::from((f64::from(plain) / divisor) as f32)
        };
        let empty = Tensor::zeros([0, (config.head_dim / 2) as i64], (Kind::Float, device));
        let frequencies = divisors.into_iter().enumerate().map(frequency).collect();
        Self { frequencies, cos_PI: empty.shallow_clone(), sin_PI: empty, device }
    }

    /// Makes room for positions below `positions`.
    pub(crate) fn reserve(&mut self, positions: usize) {
        if self.cos_PI.size()[0] as usize >= positions {
            return;
        }
        let positions = positions.next_power_of_two().max(64);
        let angles = || (0..positions).flat_map(|position| self.frequencies.iter().map(move |f| position as f32 * *f as f32));
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles().map(f).collect();
            Tensor::from_slice(&values).view([positions as i64, self.frequencies.len() as i64]).to_device(self.device)
        };
        let (cos, sin) = (table(f32::cos), table(f32::sin));
        self.cos_PI = cos;
        self.sin_PI = sin;
    }

    /// Rotates the first `heads` heads of each row of `x_TC` by its position's angles (`inverse`: back); with `round`, then rounds the rows to bf16
    /// values.
    pub(crate) fn rotate(&self, x_TC: &Tensor, heads: usize, positions_T: &[i64], inverse: bool, round: bool) {
        match x_TC.kind() {
            Kind::Float if kernels::take(x_TC) => self.rotate_kernel::<f32>(x_TC, heads, positions_T, inverse, round),
            Kind::BFloat16 if kernels::take(x_TC) => self.rotate_kernel::<Bf16>(x_TC, heads, positions_T, inverse, false),
            _ => self.rotate_aten(x_TC, heads, positions_T, inverse),
        }
    }

    fn rotate_kernel<E: Element>(&self, x_TC: &Tensor, heads: usize, positions_T: &[i64], inverse: bool, round: bool) {
        let (cos, sin) = (Matrix::of(&self.cos_PI), Matrix::of(&self.sin_PI));
        kernels::rope::rotate::<E>(&Matrix::of(x_TC), heads, positions_T, &cos, &sin, inverse, round);
    }

    fn rotate_aten(&self, x_TC: &Tensor, heads: usize, positions_T: &[i64], inverse: bool) {
        let tokens = x_TC.size()[0];
        let (heads, half) = (heads as i64, self.frequencies.len() as i64);
        let positions = Tensor::from_slice(positions_T).to_device(self.device);
        let [cos, sin] = [&self.cos_PI, &self.sin_PI].map(|table| table.index_select(0, &positions).unsqueeze(1));
        let sin = if inverse { -sin } else { sin };
        let x = x_TC.narrow(1, 0, heads * 2 * half).view([tokens, heads, 2, half]);
        let (low, high) = (x.select(2, 0).to_kind(Kind::Float), x.select(2, 1).to_kind(Kind::Float));
        let rotated = [&low * &cos - &high * &sin, high * cos + low * sin];
        for (half, values) in rotated.iter().enumerate() {
            x.select(2, half as i64).copy_(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, random};

    fn table(half: usize) -> RotaryTable {
        let empty = Tensor::zeros([0, half as i64], (Kind::Float, Device::Cpu));
        let frequencies = (0..half).map(|i| 100f64.powf(-(i as f64) / half as f64)).collect();
        let mut table = RotaryTable { frequencies, cos_PI: empty.shallow_clone(), sin_PI: empty, device: Device::Cpu };
        table.reserve(20);
        table
    }

    #[test]
    fn the_kernel_equals_aten_and_the_inverse_undoes_it() {
        for half in [1, 3, 16] {
            let table = table(half);
            let x = random(&[5, 3 * 2 * half as i64 + 2], 1);
            let positions = [0, 1, 2, 0, 19];
            let (kernel, aten) = (x.copy(), x.copy());
            table.rotate(&kernel, 3, &positions, false, false);
            table.rotate_aten(&aten, 3, &positions, false);
            close(&kernel, &aten, 1e-6);
            assert!(crate::testing::distance(&kernel, &x) > 0.1);
            table.rotate(&kernel, 3, &positions, true, false);
            close(&kernel, &x, 1e-6);
        }
    }

    #[test]
    fn rounding_gives_bf16_values_in_whole_rows() {
        let table = table(4);
        let x = random(&[3, 20], 2);
        let exact = x.copy();
        table.rotate(&exact, 2, &[3, 4, 5], false, false);
        table.rotate(&x, 2, &[3, 4, 5], false, true);
        assert_eq!(x, exact.to_kind(Kind::BFloat16).to_kind(Kind::Float));
    }
}
