//! Dropout whose masks are computed where they are used.

use super::simd::multiversion;
use super::{Element, Matrix, grain};
use crate::random::Stream;
use temper_c10d::parallel_for;

/// Which elements are dropped.
pub(crate) struct Mask<'a> {
    /// 16-bit numbers below it mean dropped.
    pub(crate) threshold: u16,
    /// Factor of what is kept.
    pub(crate) kept_scale: f32,
    /// Tells the modules' masks apart.
    pub(crate) module: u64,
    /// One stream a row.
    pub(crate) rows: &'a [Stream],
}

multiversion! {
    /// Four channels share a 64-bit number.
    fn mask_row [E: Element] [E] (stream: Stream, threshold: u16, kept_scale: f32, x: &[E], out: &mut [E], add: bool) {
        for (word, (x, out)) in x.chunks(4).zip(out.chunks_mut(4)).enumerate() {
            let bits = stream.bits(word as u64);
            for (lane, (x, out)) in x.iter().zip(out).enumerate() {
                let factor = if ((bits >> (16 * lane)) as u16) < threshold { 0.0 } else { kept_scale };
                let before = if add { out.get() } else { 0.0 };
                *out = E::put(before + x.get() * factor);
            }
        }
    }
}

/// `out = mask * x * kept_scale`, or added to `out` with `add`.
pub(crate) fn apply<E: Element>(mask: &Mask<'_>, x_TI: &Matrix<E>, out_TI: &Matrix<E>, add: bool) {
    parallel_for(x_TI.rows, grain(8 * x_TI.columns), |rows| {
        for t in rows {
            // SAFETY: row t is this thread's alone, and the buffers are distinct.
            let (x, out) = unsafe { (x_TI.row(t), out_TI.row_mut(t)) };
            mask_row(mask.rows[t].with(mask.module), mask.threshold, mask.kept_scale, x, out, add);
        }
    });
}
