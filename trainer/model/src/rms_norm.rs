//! Root-mean-square normalisation, alone or after a residual addition, forward and backward.
//!
//! Shapes: T tokens, H columns. Statistics and weights are fp32 whatever the activations' type.

use crate::kernels::{self, Bf16, Element, Matrix};
use tch::{Kind, Tensor};

/// `x = weight * h / sqrt(mean(h²) + epsilon)` (Zhang & Sennrich 2019).
#[derive(Debug)]
pub(crate) struct RmsNorm {
    /// `[H]` fp32.
    pub(crate) weight: Tensor,
    pub(crate) epsilon: f64,
    /// `[H]` fp32, where the weight is trained.
    pub(crate) gradient: Option<Tensor>,
}

impl RmsNorm {
    /// `x_TH = norm(h_TH)`; distinct memory.
    pub(crate) fn forward(&self, h_TH: &Tensor, x_TH: &Tensor) {
        match h_TH.kind() {
            Kind::Float if kernels::take(h_TH) => self.forward_kernel::<f32>(h_TH, x_TH),
            Kind::BFloat16 if kernels::take(h_TH) => self.forward_kernel::<Bf16>(h_TH, x_TH),
            _ => self.forward_aten(h_TH, x_TH),
        }
    }

    fn forward_kernel<E: Element>(&self, h_TH: &Tensor, x_TH: &Tensor) {
        kernels::rms_norm::norm::<E>(&Matrix::of(h_TH), &Matrix::of(&self.weight), self.epsilon as f32, &Matrix::of(x_TH));
    }

    fn forward_aten(&self, h_TH: &Tensor, x_TH: &Tensor) {
        let h = h_TH.to_kind(Kind::Float);
        x_TH.shallow_clone().copy_(&(self.reciprocal(&h) * &h * &self.weight));
    }

    /// `[T, 1]`: 1 / rms of each row of fp32 `h`.
    fn reciprocal(&self, h_TH: &Tensor) -> Tensor {
        ((h_TH * h_TH).mean_dim(-1, true, Kind::Float) + self.epsilon).rsqrt()
    }

    /// `sum_TH = h_TH + y_TH` (which may be `h`'s own memory), then `x_TH = norm(sum_TH)`.
    pub(crate) fn add_forward(&self, h_TH: &Tensor, y_TH: &Tensor, sum_TH: &Tensor, x_TH: &Tensor) {
        match h_TH.kind() {
            Kind::Float if kernels::take(h_TH) => self.add_forward_kernel::<f32>(h_TH, y_TH, sum_TH, x_TH),
            Kind::BFloat16 if kernels::take(h_TH) => self.add_forward_kernel::<Bf16>(h_TH, y_TH, sum_TH, x_TH),
            _ => self.add_forward_aten(h_TH, y_TH, sum_TH, x_TH),
        }
    }

    fn add_forward_kernel<E: Element>(&self, h_TH: &Tensor, y_TH: &Tensor, sum_TH: &Tensor, x_TH: &Tensor) {
        let in_place = h_TH.data_ptr() == sum_TH.data_ptr();
        let [h, y, sum, x] = [h_TH, y_TH, sum_TH, x_TH].map(Matrix::<E>::of);
        kernels::rms_norm::add_norm(&h, &y, &sum, in_place, &Matrix::of(&self.weight), self.epsilon as f32, &x);
    }

    fn add_forward_aten(&self, h_TH: &Tensor, y_TH: &Tensor, sum_TH: &Tensor, x_TH: &Tensor) {
        sum_TH.shallow_clone().copy_(&(h_TH + y_TH));
        self.forward_aten(sum_TH, x_TH);
    }

    /// Adds to `dh_TH` the gradient of `norm(h_TH)`, given its output's, `dx_TH`; adds to the weight's gradient, where it has one; and writes the
    /// output again to `x_TH`, where it is wanted.
    pub(crate) fn backward(&self, h_TH: &Tensor, dx_TH: &Tensor, dh_TH: &Tensor, x_TH: Option<&Tensor>) {
        match h_TH.kind() {
            Kind::Float if kernels::take(h_TH) => self.backward_kernel::<f32>(h_TH, dx_TH, dh_TH, x_TH),
            Kind::BFloat16 if kernels::take(h_TH) => self.backward_kernel::<Bf16>(h_TH, dx_TH, dh_TH, x_TH),
            _ => self.backward_aten(h_TH, dx_TH, dh_TH, x_TH),
        }
    }

    fn backward_kernel<E: Element>(&self, h_TH: &Tensor, dx_TH: &Tensor, dh_TH: &Tensor, x_TH: Option<&Tensor>) {
        let blocks = (h_TH.size()[0] as usize).div_ceil(kernels::rms_norm::BLOCK) as i64;
        let dweight_BH = self.gradient.as_ref().map(|_| Tensor::zeros([blocks, h_TH.size()[1]], (Kind::Float, h_TH.device())));
        let also = kernels::rms_norm::AlsoWanted { x_TH: x_TH.map(Matrix::of), dweight_BH: dweight_BH.as_ref().map(Matrix::of) };
        let [h, dx, dh] = [h_TH, dx_TH, dh_TH].map(Matrix::<E>::of);
        kernels::rms_norm::norm_backward(&h, &Matrix::of(&self.weight), self.epsilon as f32, &dx, &dh, &also);
        if let (Some(gradient), Some(dweight)) = (&self.gradient, &dweight_BH) {
            let _ = gradient.shallow_clone().g_add_(&dweight.sum_dim_intlist(0i64, false, Kind::Float));
        }
    }

    fn backward_aten(&self, h_TH: &Tensor, dx_TH: &Tensor, dh_TH: &Tensor, x_TH: Option<&Tensor>) {
        let (h, dx) = (h_TH.to_kind(Kind::Float), dx_TH.to_kind(Kind::Float));
        let reciprocal = self.reciprocal(&h);
        let normalised = &h * &reciprocal;
        if let Some(x) = x_TH {
            x.shallow_clone().copy_(&(&normalised * &self.weight));
        }
        if let Some(gradient) = &self.gradient {
            let _ = gradient.shallow_clone().g_add_(&(&dx * &normalised).sum_dim_intlist(0i64, false, Kind::Float));
        }
        let scaled = dx * &self.weight;
        let along = (&scaled * &normalised).mean_dim(-1, true, Kind::Float);
        let _ = dh_TH.shallow_clone().g_add_(&((scaled - normalised * along) * reciprocal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, random};

    fn norm(columns: i64) -> RmsNorm {
        RmsNorm { weight: random(&[columns], 1), epsilon: 1e-5, gradient: Some(Tensor::zeros([columns], (Kind::Float, tch::Device::Cpu))) }
    }

    #[test]
    fn the_kernels_equal_aten() {
        for (rows, columns) in [(1, 1), (3, 5), (70, 33), (130, 64)] {
            for (kind, tolerance) in [(Kind::Float, 2e-6), (Kind::BFloat16, 1e-2)] {
                let [h, y, dx, dh] = [2, 3, 4, 5].map(|seed| random(&[rows, columns], seed).to_kind(kind));
                let run = |aten: bool| {
                    let norm = norm(columns);
                    let [sum, x, again] = [(); 3].map(|()| h.zeros_like());
                    let dh = dh.copy();
                    if aten {
                        norm.add_forward_aten(&h, &y, &sum, &x);
                        norm.backward_aten(&sum, &dx, &dh, Some(&again));
                    } else {
                        norm.add_forward(&h, &y, &sum, &x);
                        norm.backward(&sum, &dx, &dh, Some(&again));
                    }
                    close(&again, &x, tolerance);
                    [sum, x, dh, norm.gradient.expect("set above")]
                };
                for (kernel, aten) in run(false).iter().zip(&run(true)) {
                    close(kernel, aten, tolerance);
                }
            }
        }
    }

    #[test]
    fn the_gradient_is_autograds() {
        let norm = norm(7);
        let h = random(&[4, 7], 8).set_requires_grad(true);
        let weight = norm.weight.copy().set_requires_grad(true);
        let dx = random(&[4, 7], 9);
        let x = &h * ((&h * &h).mean_dim(-1, true, Kind::Float) + norm.epsilon).rsqrt() * &weight;
        (x * &dx).sum(Kind::Float).backward();
        let dh = h.zeros_like().set_requires_grad(false);
        norm.backward(&h.detach(), &dx, &dh, None);
        close(&dh, &h.grad(), 1e-5);
        close(norm.gradient.as_ref().expect("set above"), &weight.grad(), 1e-5);
    }

    #[test]
    fn a_sum_in_place_is_the_same() {
        let (norm, h, y) = (norm(40), random(&[9, 40], 2), random(&[9, 40], 3));
        let [sum, x, x_in_place] = [(); 3].map(|()| h.zeros_like());
        norm.add_forward(&h, &y, &sum, &x);
        norm.add_forward(&h, &y, &h, &x_in_place);
        assert_eq!(x, x_in_place);
        assert_eq!(h, sum);
    }
}
