//! Rotary position embedding (Su et al. 2021) in place, pairing element i with i + D/2 as transformers does.

use super::simd::multiversion;
use super::{Bf16, Element, Matrix, grain};
use temper_c10d::parallel_for;

multiversion! {
    /// Rotates one head by the angles whose cosines and sines are given; `direction` is 1, or -1 for the inverse.
    fn rotate_head [E: Element] [E] (head: &mut [E], cos: &[f32], sin: &[f32], direction: f32) {
        let (low, high) = head.split_at_mut(cos.len());
        for (((low, high), &cos), &sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            let (a, b, sin) = (low.get(), high.get(), sin * direction);
            *low = E::put(a * cos - b * sin);
            *high = E::put(b * cos + a * sin);
        }
    }
}

multiversion! {
    fn round_row [E: Element] [E] (row: &mut [E]) {
        for value in row {
            *value = E::put(Bf16::put(value.get()).get());
        }
    }
}

/// Rotates the first `heads` heads of each row of `x_TC` by the angles of the row's position. `cos_PI` and `sin_PI` hold, for each position,
/// the I = D/2 frequencies. With `round`, whole rows are then rounded to bf16 values.
#[allow(clippy::too_many_arguments)]
pub(crate) fn rotate<E: Element>(
    x_TC: &Matrix<E>,
    heads: usize,
    positions_T: &[i64],
    cos_PI: &Matrix<f32>,
    sin_PI: &Matrix<f32>,
    inverse: bool,
    round: bool,
) {
    let head_dim = 2 * cos_PI.columns;
    let direction = if inverse { -1.0 } else { 1.0 };
    parallel_for(x_TC.rows, grain(x_TC.columns), |rows| {
        for t in rows {
            let position = positions_T[t] as usize;
            // SAFETY: row t is this thread's alone; the tables are only read.
            let (row, cos, sin) = unsafe { (x_TC.row_mut(t), cos_PI.row(position), sin_PI.row(position)) };
            for head in row[..heads * head_dim].chunks_exact_mut(head_dim) {
                rotate_head(head, cos, sin, direction);
            }
            if round {
                round_row(row);
            }
        }
    });
}
