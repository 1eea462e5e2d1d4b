//! RMSNorm (Zhang & Sennrich 2019): `x = weight * h / rms(h)`, with the residual addition before it, and its gradient.
//!
//! Shapes: T rows, H columns.

use super::simd::{multiversion, sum};
use super::{Element, Matrix, grain};
use temper_c10d::parallel_for;

multiversion! {
    /// `1 / rms(h)` of a row.
    fn reciprocal_rms [E: Element] [E] (h: &[E], epsilon: f32) -> f32 {
        let mean = sum(h, h, |a, b| a.get() * b.get()) / h.len() as f32;
        1.0 / (mean + epsilon).sqrt()
    }
}

multiversion! {
    fn scale_row [E: Element] [E] (h: &[E], weight: &[f32], factor: f32, x: &mut [E]) {
        for ((x, &h), &weight) in x.iter_mut().zip(h).zip(weight) {
            *x = E::put(weight * (h.get() * factor));
        }
    }
}

multiversion! {
    fn add_row [E: Element] [E] (h: &[E], y: &[E], out: &mut [E]) {
        for ((out, &h), &y) in out.iter_mut().zip(h).zip(y) {
            *out = E::put(h.get() + y.get());
        }
    }
}

multiversion! {
    fn add_to_row [E: Element] [E] (out: &mut [E], y: &[E]) {
        for (out, &y) in out.iter_mut().zip(y) {
            *out = E::put(out.get() + y.get());
        }
    }
}

/// `x_TH = norm(h_TH)`.
pub(crate) fn norm<E: Element>(h_TH: &Matrix<E>, weight_H: &Matrix<f32>, epsilon: f32, x_TH: &Matrix<E>) {
    parallel_for(h_TH.rows, grain(h_TH.columns), |rows| {
        for t in rows {
            // SAFETY: row t is this thread's alone; the weight is only read. `h` and `x` are distinct buffers (the caller's promise).
            let (h, weight, x) = unsafe { (h_TH.row(t), weight_H.row(0), x_TH.row_mut(t)) };
            scale_row(h, weight, reciprocal_rms(h, epsilon), x);
        }
    });
}

/// `sum_TH = h_TH + y_TH`, then `x_TH = norm(sum_TH)`. `in_place` says that `sum` is `h`'s memory.
pub(crate) fn add_norm<E: Element>(
    h_TH: &Matrix<E>,
    y_TH: &Matrix<E>,
    sum_TH: &Matrix<E>,
    in_place: bool,
    weight_H: &Matrix<f32>,
    epsilon: f32,
    x_TH: &Matrix<E>,
) {
    parallel_for(h_TH.rows, grain(h_TH.columns), |rows| {
        for t in rows {
            // SAFETY: row t is this thread's alone; `h` is borrowed beside `sum` only where they are distinct memory.
            unsafe {
                if in_place {
                    add_to_row(sum_TH.row_mut(t), y_TH.row(t));
                } else {
                    add_row(h_TH.row(t), y_TH.row(t), sum_TH.row_mut(t));
                }
                let sum_row = sum_TH.row(t);
                scale_row(sum_row, weight_H.row(0), reciprocal_rms(sum_row, epsilon), x_TH.row_mut(t));
            }
        }
    });
}

multiversion! {
    /// With n = h / rms(h) and e = weight * dx: `dh += (e - n * mean(n * e)) / rms(h)`.
    fn gradient_row [E: Element] [E] (h: &[E], weight: &[f32], factor: f32, dx: &[E], dh: &mut [E]) {
        // mean(h * weight * dx): three operands, so one product is made on the way.
        let mut lanes = [0.0f32; 16];
        let chunks = h.chunks_exact(16).zip(weight.chunks_exact(16)).zip(dx.chunks_exact(16));
        for ((h, weight), dx) in chunks {
            for lane in 0..16 {
                lanes[lane] += h[lane].get() * weight[lane] * dx[lane].get();
            }
        }
        let whole = h.len() - h.len() % 16;
        for (lane, ((h, weight), dx)) in lanes.iter_mut().zip(h[whole..].iter().zip(&weight[whole..]).zip(&dx[whole..])) {
            *lane += h.get() * weight * dx.get();
        }
        let mut width = 8;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] += lanes[lane + width];
            }
            width /= 2;
        }
        let along = lanes[0] / h.len() as f32 * factor * factor;
        for (((dh, &h), &weight), &dx) in dh.iter_mut().zip(h).zip(weight).zip(dx) {
            *dh = E::put(dh.get() + (weight * dx.get() - h.get() * along) * factor);
        }
    }
}

multiversion! {
    /// `dweight += dx * h / rms(h)`.
    fn weight_gradient_row [E: Element] [E] (h: &[E], factor: f32, dx: &[E], dweight: &mut [f32]) {
        for ((dweight, &h), &dx) in dweight.iter_mut().zip(h).zip(dx) {
            *dweight += dx.get() * (h.get() * factor);
        }
    }
}

/// What [`norm_backward`] may compute beside the input's gradient.
#[derive(Default)]
pub(crate) struct AlsoWanted<'a, E> {
    /// `[T, H]`: the forward's output, again.
    pub(crate) x_TH: Option<Matrix<'a, E>>,
    /// `[B, H]` sums of the weight's gradient over blocks of [`BLOCK`] rows, B of them.
    pub(crate) dweight_BH: Option<Matrix<'a, f32>>,
}

/// Rows whose weight gradients are added by one thread; the same whatever the number of threads.
pub(crate) const BLOCK: usize = 64;

/// Adds to `dh_TH` the gradient of `norm(h_TH)` given its output's, `dx_TH`.
pub(crate) fn norm_backward<E: Element>(
    h_TH: &Matrix<E>,
    weight_H: &Matrix<f32>,
    epsilon: f32,
    dx_TH: &Matrix<E>,
    dh_TH: &Matrix<E>,
    also: &AlsoWanted<E>,
) {
    let blocks = h_TH.rows.div_ceil(BLOCK);
    parallel_for(blocks, 1, |block_range| {
        for block in block_range {
            for t in block * BLOCK..((block + 1) * BLOCK).min(h_TH.rows) {
                // SAFETY: row t and block are this thread's alone; all buffers are distinct.
                unsafe {
                    let (h, dx) = (h_TH.row(t), dx_TH.row(t));
                    let factor = reciprocal_rms(h, epsilon);
                    if let Some(x) = &also.x_TH {
                        scale_row(h, weight_H.row(0), factor, x.row_mut(t));
                    }
                    if let Some(dweight) = &also.dweight_BH {
                        weight_gradient_row(h, factor, dx, dweight.row_mut(block));
                    }
                    gradient_row(h, weight_H.row(0), factor, dx, dh_TH.row_mut(t));
                }
            }
        }
    });
}
