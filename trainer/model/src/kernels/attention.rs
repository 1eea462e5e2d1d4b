//! Causal grouped-query attention and its gradient, all sequences of a micro-batch in one call, with AVX-512.
//!
//! As FlashAttention-2 (Dao 2023) the backward recomputes the probabilities from the saved log-sum-exps; unlike it a block of queries holds all its keys'
//! scores at once, since fine-tuning's sequences are short. Threads take (sequence, key-value head) pairs as they get free; a pair writes what no other
//! does, so the result does not depend on which thread ran it.
//!
//! Shapes: S positions of a sequence, D head width, E its padding to whole registers; a row of `qkv` is `[H D | G D | G D]`.

use super::simd::{exp, max, multiversion, sum};
use super::tile::{self, LANES, Left, Right};
use super::{Element, Matrix};
use std::cell::RefCell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use temper_c10d::{get_num_threads, parallel_for};

/// Extents of one layer's attention.
#[derive(Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) heads: usize,
    pub(crate) key_value_heads: usize,
    pub(crate) head_dim: usize,
    /// A token sees itself and the `window - 1` before it.
    pub(crate) window: Option<usize>,
}

/// Queries that are handled together, for sequences of ordinary length.
const QUERIES: usize = 32;

/// Whether these kernels take the tensor, on this processor.
pub(crate) fn take(tensor: &tch::Tensor) -> bool {
    super::take(tensor) && tile::available()
}

thread_local! {
    static MEMORY: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Heads {
    fn padded(&self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }

    fn group(&self) -> usize {
        self.heads / self.key_value_heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// Columns of a query head, and of a key and a value head.
    fn query(&self, head: usize) -> Range<usize> {
        head * self.head_dim..(head + 1) * self.head_dim
    }
    fn key(&self, head: usize) -> Range<usize> {
        self.query(self.heads + head)
    }
    fn value(&self, head: usize) -> Range<usize> {
        self.query(self.heads + self.key_value_heads + head)
    }

    /// Blocks of queries, each with the keys that some query in it sees.
    fn blocks(self, length: usize) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let queries = (QUERIES * 1024 / length.max(1)).clamp(8, QUERIES);
        (0..length).step_by(queries).map(move |start| {
            let end = (start + queries).min(length);
            // Whole registers of keys: the first one is rounded down.
            let first = self.window.map_or(0, |window| (start + 1).saturating_sub(window));
            (start..end, first / LANES * LANES..end)
        })
    }

    /// Keys that a query sees.
    fn visible(&self, query: usize) -> Range<usize> {
        self.window.map_or(0, |window| (query + 1).saturating_sub(window))..query + 1
    }
}

/// Runs `work` for every sequence and key-value head, longest sequences first.
fn for_each_pair(sequences: &[Range<usize>], heads: &Heads, work: impl Fn(&Range<usize>, usize, &mut Vec<f32>) + Sync) {
    let mut order: Vec<&Range<usize>> = sequences.iter().collect();
    order.sort_by_key(|rows| std::cmp::Reverse(rows.len()));
    let next = AtomicUsize::new(0);
    let pairs = order.len() * heads.key_value_heads;
    parallel_for(get_num_threads(), 1, |threads| {
        for _ in threads {
            MEMORY.with_borrow_mut(|memory| {
                loop {
                    let pair = next.fetch_add(1, Ordering::Relaxed);
                    if pair >= pairs {
                        break;
                    }
                    work(order[pair / heads.key_value_heads], pair % heads.key_value_heads, memory);
                }
            });
        }
    });
}

/// Cuts the pieces asked for from a thread's memory, which grows as needed.
fn cut<const N: usize>(memory: &mut Vec<f32>, lengths: [usize; N]) -> [&mut [f32]; N] {
    let total: usize = lengths.iter().sum();
    if memory.len() < total {
        memory.resize(total, 0.0);
    }
    let mut rest = memory.as_mut_slice();
    lengths.map(|length| {
        let (piece, after) = std::mem::take(&mut rest).split_at_mut(length);
        rest = after;
        piece
    })
}

/// Copies columns of some rows as rows of `padded` elements, zeros behind.
fn pack<E: Element>(x: &Matrix<E>, rows: Range<usize>, columns: Range<usize>, padded: usize, factor: f32, out: &mut [f32]) {
    for (row, out) in rows.zip(out.chunks_exact_mut(padded)) {
        // SAFETY: nobody writes the inputs of attention while it runs.
        let values = unsafe { &x.row(row)[columns.clone()] };
        for (out, value) in out.iter_mut().zip(values) {
            *out = value.get() * factor;
        }
        out[columns.len()..].fill(0.0);
    }
}

/// Copies columns of some rows transposed: one row a column, `stride` elements apart.
fn pack_transposed<E: Element>(x: &Matrix<E>, rows: Range<usize>, columns: Range<usize>, stride: usize, out: &mut [f32]) {
    let count = rows.len();
    for (position, row) in rows.enumerate() {
        // SAFETY: as in `pack`.
        let values = unsafe { &x.row(row)[columns.clone()] };
        for (column, value) in values.iter().enumerate() {
            out[column * stride + position] = value.get();
        }
    }
    for column in 0..columns.len() {
        out[column * stride + count..(column + 1) * stride].fill(0.0);
    }
}

/// Writes packed rows back.
fn unpack<E: Element>(values: &[f32], padded: usize, x: &Matrix<E>, rows: Range<usize>, columns: Range<usize>) {
    for (row, values) in rows.zip(values.chunks_exact(padded)) {
        // SAFETY: these columns of these rows belong to this pair alone.
        let out = unsafe { x.part_mut(row, columns.clone()) };
        for (out, value) in out.iter_mut().zip(values) {
            *out = E::put(*value);
        }
    }
}

multiversion! {
    /// Turns scores into exponentials relative to their maximum; zeros outside `visible`. Returns maximum and sum.
    fn exponentials [] [] (scores: &mut [f32], visible_start: usize, visible_end: usize) -> (f32, f32) {
        let (before, rest) = scores.split_at_mut(visible_start);
        let (seen, after) = rest.split_at_mut(visible_end - visible_start);
        before.fill(0.0);
        after.fill(0.0);
        let highest = max(seen, |score| score);
        for score in seen.iter_mut() {
            *score = exp(*score - highest);
        }
        (highest, sum(seen, seen, |a, _| a))
    }
}

multiversion! {
    fn multiply_row [] [] (row: &mut [f32], factor: f32) {
        for value in row {
            *value *= factor;
        }
    }
}

/// Writes the attention output of every sequence to the first H D columns of `out`, and to `normalisers_HT` the log of the sum of the
/// exponentials of each query's scaled scores.
pub(crate) fn forward<E: Element>(
    qkv: &Matrix<E>,
    out: &Matrix<E>,
    normalisers_HT: &Matrix<f32>,
    sequences: &[Range<usize>],
    heads: Heads,
) {
    let padded = heads.padded();
    for_each_pair(sequences, &heads, |rows, pair_head, memory| {
        let length = rows.len();
        let keys = length.next_multiple_of(LANES);
        let [k_t, v, q, scores, o] =
            cut(memory, [heads.head_dim * keys, length * padded, QUERIES * padded, QUERIES * keys, QUERIES * padded]);
        pack_transposed(qkv, rows.clone(), heads.key(pair_head), keys, k_t);
        pack(qkv, rows.clone(), heads.value(pair_head), padded, 1.0, v);
        for head in pair_head * heads.group()..(pair_head + 1) * heads.group() {
            for (queries, seen) in heads.blocks(length) {
                let count = queries.len();
                let in_batch = rows.start + queries.start..rows.start + queries.end;
                pack(qkv, in_batch.clone(), heads.query(head), padded, heads.scale(), q);
                score(q, padded, k_t, keys, &seen, count, heads.head_dim, scores);
                for (query, row) in queries.clone().zip(scores.chunks_exact_mut(keys)) {
                    let visible = heads.visible(query);
                    let (highest, total) = exponentials(&mut row[seen.clone()], visible.start - seen.start, visible.end - seen.start);
                    multiply_row(&mut row[seen.clone()], 1.0 / total);
                    // SAFETY: this head's normalisers of these positions belong to this pair alone.
                    unsafe { normalisers_HT.part_mut(head, rows.start + query..rows.start + query + 1)[0] = highest + total.ln() };
                }
                let probabilities = Left { values: &scores[seen.start..], row: keys, column: 1 };
                let values = Right { values: &v[seen.start * padded..], row: padded };
                tile::multiply([count, padded, seen.len()], probabilities, values, o, padded, false);
                unpack(o, padded, out, in_batch, heads.query(head));
            }
        }
    });
}

/// `scores[i, seen] = q[i] · k[seen]` for `count` queries; the columns are rounded up to whole registers.
#[allow(clippy::too_many_arguments)]
fn score(q: &[f32], q_row: usize, k_t: &[f32], keys: usize, seen: &Range<usize>, count: usize, head_dim: usize, scores: &mut [f32]) {
    let columns = seen.len().next_multiple_of(LANES);
    let left = Left { values: q, row: q_row, column: 1 };
    tile::multiply(
        [count, columns, head_dim],
        left,
        Right { values: &k_t[seen.start..], row: keys },
        &mut scores[seen.start..],
        keys,
        false,
    );
}

multiversion! {
    /// From scores to probabilities, given the log-sum-exp; zeros outside the visible keys.
    fn probabilities [] [] (scores: &mut [f32], visible_start: usize, visible_end: usize, normaliser: f32) {
        let (before, rest) = scores.split_at_mut(visible_start);
        let (seen, after) = rest.split_at_mut(visible_end - visible_start);
        before.fill(0.0);
        after.fill(0.0);
        for score in seen {
            *score = exp(*score - normaliser);
        }
    }
}

multiversion! {
    /// `ds = p * (dp - delta) * scale`, in place of `dp`.
    fn score_gradient [] [] (dp: &mut [f32], p: &[f32], delta: f32, scale: f32) {
        for (dp, &p) in dp.iter_mut().zip(p) {
            *dp = p * (*dp - delta) * scale;
        }
    }
}

/// What backward reads: the forward's input, output and log-sum-exps, and the gradient of its output.
pub(crate) struct Saved<'a, E> {
    pub(crate) qkv: Matrix<'a, E>,
    pub(crate) out: Matrix<'a, E>,
    pub(crate) normalisers_HT: Matrix<'a, f32>,
    pub(crate) dout: Matrix<'a, E>,
}

/// Writes the gradients of queries, keys and values to the first columns of `dqkv`.
pub(crate) fn backward<E: Element>(saved: &Saved<'_, E>, dqkv: &Matrix<E>, sequences: &[Range<usize>], heads: Heads) {
    let (padded, head_dim, scale) = (heads.padded(), heads.head_dim, heads.scale());
    for_each_pair(sequences, &heads, |rows, pair_head, memory| {
        let length = rows.len();
        let keys = length.next_multiple_of(LANES);
        let (transposed, whole) = (head_dim * keys, length * padded);
        let (block, square) = (QUERIES * padded, QUERIES * keys);
        let [k_t, v_t, k, dk, dv, q, d_o, dq, p, ds] =
            cut(memory, [transposed, transposed, whole, whole, whole, block, block, block, square, square]);
        pack_transposed(&saved.qkv, rows.clone(), heads.key(pair_head), keys, k_t);
        pack_transposed(&saved.qkv, rows.clone(), heads.value(pair_head), keys, v_t);
        pack(&saved.qkv, rows.clone(), heads.key(pair_head), padded, 1.0, k);
        dk.fill(0.0);
        dv.fill(0.0);
        for head in pair_head * heads.group()..(pair_head + 1) * heads.group() {
            for (queries, seen) in heads.blocks(length) {
                let count = queries.len();
                let in_batch = rows.start + queries.start..rows.start + queries.end;
                pack(&saved.qkv, in_batch.clone(), heads.query(head), padded, 1.0, q);
                pack(&saved.dout, in_batch.clone(), heads.query(head), padded, 1.0, d_o);
                score(q, padded, k_t, keys, &seen, count, head_dim, p);
                score(d_o, padded, v_t, keys, &seen, count, head_dim, ds);
                let pairs = p.chunks_exact_mut(keys).zip(ds.chunks_exact_mut(keys));
                for ((query, (p, ds)), d_o) in queries.clone().zip(pairs).zip(d_o.chunks_exact(padded)) {
                    let visible = heads.visible(query);
                    // SAFETY: both are only read while attention runs.
                    let (out, normaliser) =
                        unsafe { (saved.out.row(rows.start + query), saved.normalisers_HT.row(head)[rows.start + query]) };
                    let delta = sum(&d_o[..head_dim], &out[heads.query(head)], |d_o, out| d_o * out.get());
                    multiply_row(&mut p[seen.clone()], scale);
                    probabilities(&mut p[seen.clone()], visible.start - seen.start, visible.end - seen.start, normaliser);
                    score_gradient(&mut ds[seen.clone()], &p[seen.clone()], delta, scale);
                }
                let row = |values| Left { values, row: keys, column: 1 };
                let column = |values| Left { values, row: 1, column: keys };
                let at = seen.start * padded;
                tile::multiply(
                    [count, padded, seen.len()],
                    row(&ds[seen.start..]),
                    Right { values: &k[at..], row: padded },
                    dq,
                    padded,
                    false,
                );
                unpack(dq, padded, dqkv, in_batch, heads.query(head));
                tile::multiply(
                    [seen.len(), padded, count],
                    column(&ds[seen.start..]),
                    Right { values: q, row: padded },
                    &mut dk[at..],
                    padded,
                    true,
                );
                tile::multiply(
                    [seen.len(), padded, count],
                    column(&p[seen.start..]),
                    Right { values: d_o, row: padded },
                    &mut dv[at..],
                    padded,
                    true,
                );
            }
        }
        unpack(dk, padded, dqkv, rows.clone(), heads.key(pair_head));
        unpack(dv, padded, dqkv, rows.clone(), heads.value(pair_head));
    });
}
