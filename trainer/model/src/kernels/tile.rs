//! Small matrix products in fp32 with AVX-512: what attention is made of, where a library call a product would cost more than the product.

use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps};

/// Elements of a register.
pub(crate) const LANES: usize = 16;

/// Whether this processor has the instructions.
pub(crate) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// The left factor, read element by element: (i, p) is `values[i * row + p * column]`.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// Contiguous rows, `row` elements apart.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row: usize,
}

/// `c[m, n] = a[m, k] b[k, n]`, or added to `c`, whose rows are `c_row` elements apart; `n` is a multiple of [`LANES`].
///
/// # Panics
/// If an operand is too short for its extents, or the processor lacks AVX-512.
pub(crate) fn multiply([m, n, k]: [usize; 3], a: Left<'_>, b: Right<'_>, c: &mut [f32], c_row: usize, accumulate: bool) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(available() && n.is_multiple_of(LANES) && b.row >= n && c_row >= n);
    assert!(k == 0 || (a.values.len() > (m - 1) * a.row + (k - 1) * a.column && b.values.len() >= (k - 1) * b.row + n));
    assert!(c.len() >= (m - 1) * c_row + n);
    // SAFETY: AVX-512 is there, and every element that the tiles touch lies inside the slices: just asserted.
    unsafe { all_tiles([m, n, k], a, b, c.as_mut_ptr(), c_row, accumulate) }
}

/// # Safety
/// As asserted in [`multiply`].
#[target_feature(enable = "avx512f")]
unsafe fn all_tiles([m, n, k]: [usize; 3], a: Left<'_>, b: Right<'_>, c: *mut f32, c_row: usize, accumulate: bool) {
    let mut column = 0;
    while column < n {
        let wide = n - column >= 2 * LANES;
        let mut row = 0;
        while row < m {
            // SAFETY: the tile begins inside every operand, and its extents below stay inside.
            unsafe {
                let at = Tile {
                    k,
                    a: a.values.as_ptr().add(row * a.row),
                    a_row: a.row,
                    a_column: a.column,
                    b: b.values.as_ptr().add(column),
                    b_row: b.row,
                    c: c.add(row * c_row + column),
                    c_row,
                    accumulate,
                };
                row += match (m - row, wide) {
                    (8.., true) => tile::<8, 2>(&at),
                    (4.., true) => tile::<4, 2>(&at),
                    (_, true) => tile::<1, 2>(&at),
                    (8.., false) => tile::<8, 1>(&at),
                    (4.., false) => tile::<4, 1>(&at),
                    (_, false) => tile::<1, 1>(&at),
                };
            }
        }
        column += if wide { 2 * LANES } else { LANES };
    }
}

/// Where a tile's operands begin.
struct Tile {
    k: usize,
    a: *const f32,
    a_row: usize,
    a_column: usize,
    b: *const f32,
    b_row: usize,
    c: *mut f32,
    c_row: usize,
    accumulate: bool,
}

/// One tile of `ROWS` by `WIDTH` registers, held in registers over all of k. Returns `ROWS`.
///
/// # Safety
/// All elements of the tile's operands exist.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn tile<const ROWS: usize, const WIDTH: usize>(at: &Tile) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); WIDTH]; ROWS];
        for p in 0..at.k {
            let b_row = at.b.add(p * at.b_row);
            let mut b = [_mm512_setzero_ps(); WIDTH];
            for (lane, b) in b.iter_mut().enumerate() {
                *b = _mm512_loadu_ps(b_row.add(lane * LANES));
            }
            let a_column = at.a.add(p * at.a_column);
            for (row, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_ps(*a_column.add(row * at.a_row));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_fmadd_ps(a, b, *sum);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (lane, sum) in sums.iter().enumerate() {
                let target = at.c.add(row * at.c_row + lane * LANES);
                let before = if at.accumulate { _mm512_loadu_ps(target) } else { _mm512_setzero_ps() };
                _mm512_storeu_ps(target, std::arch::x86_64::_mm512_add_ps(*sum, before));
            }
        }
    }
    ROWS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, random};
    use tch::Tensor;

    #[test]
    fn tiles_of_every_size_equal_aten() {
        if !available() {
            return;
        }
        for m in [1, 3, 4, 7, 8, 21] {
            for (n, k) in [(16, 1), (32, 5), (48, 33), (64, 64)] {
                let (a, b, start) = (random(&[m, k], 1), random(&[k, n], 2), random(&[m, n], 3));
                let values = |tensor: &Tensor| Vec::<f32>::try_from(tensor.contiguous().view([-1])).expect("fp32");
                let sizes = [m as usize, n as usize, k as usize];
                let b_values = values(&b);
                let right = Right { values: &b_values, row: sizes[1] };
                let transposed = values(&a.tr());
                let plain = values(&a);
                let lefts = [Left { values: &plain, row: sizes[2], column: 1 }, Left { values: &transposed, row: 1, column: sizes[0] }];
                for left in lefts {
                    for accumulate in [false, true] {
                        let mut c = values(&start);
                        multiply(sizes, left, right, &mut c, sizes[1], accumulate);
                        let expected = a.mm(&b) + if accumulate { start.shallow_clone() } else { start.zeros_like() };
                        close(&Tensor::from_slice(&c).view([m, n]), &expected, 1e-6);
                    }
                }
            }
        }
    }
}
