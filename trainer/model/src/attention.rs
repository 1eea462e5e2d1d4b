//! Causal grouped-query attention within each sequence of the flat row.
//!
//! Shapes: T tokens of all sequences, S of one; H query heads, G key-value heads (H a multiple of G), D head width. A row of `qkv` is `[H D | G D | G D]`.

use crate::Error;
use crate::block::front;
#[cfg(target_arch = "x86_64")]
use crate::kernels::{self, Bf16, Element, Matrix};
use std::collections::HashMap;
use std::ops::Range;
use tch::{Device, Kind, Tensor};
use temper_c10d::{AttentionOutput, flash_attention_cpu, flash_attention_cpu_backward};

/// Attention of one layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) key_value_heads: usize,
    pub(crate) head_dim: usize,
    /// A token sees itself and the `window - 1` before it.
    pub(crate) window: Option<usize>,
}

/// Masks of sliding windows, by length and window, to be added to scores.
#[derive(Debug, Default)]
pub(crate) struct WindowMasks(HashMap<(usize, usize), Tensor>);

impl WindowMasks {
    /// `[S, S]`: 0 where `t - window < s <= t` for query t and key s, negative infinity elsewhere. None where plain causality says the same.
    fn get(&mut self, length: usize, window: Option<usize>, like: &Tensor) -> Option<Tensor> {
        let window = window.filter(|&window| window < length)?;
        let mask = self.0.entry((length, window)).or_insert_with(|| mask(length as i64, length as i64, Some(window), like));
        Some(mask.shallow_clone())
    }

    /// Forgets all: lengths of another batch will differ.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// `[N, S]` for queries at the last N of S positions: 0 where a query may look, negative infinity elsewhere, in the type and on the
/// device of `like`.
fn mask(queries: i64, length: i64, window: Option<usize>, like: &Tensor) -> Tensor {
    let before = length - queries;
    let all = Tensor::ones([queries, length], (Kind::Bool, like.device()));
    let causal = all.tril(before);
    let visible = window.map_or_else(|| causal.shallow_clone(), |window| causal.logical_and(&all.triu(before + 1 - window as i64)));
    let zeros = Tensor::zeros([queries, length], (like.kind(), like.device()));
    zeros.masked_fill(&visible.logical_not(), f64::NEG_INFINITY)
}

impl Attention {
    /// Columns of queries, of keys and of values.
    fn columns(&self) -> [i64; 3] {
        [self.heads, self.key_value_heads, self.key_value_heads].map(|heads| (heads * self.head_dim) as i64)
    }

    fn scale(&self) -> f64 {
        1.0 / (self.head_dim as f64).sqrt()
    }

    /// Views `[1, heads, S, D]` of the queries, keys and values of some rows.
    pub(crate) fn split(&self, qkv: &Tensor, rows: &Range<usize>) -> [Tensor; 3] {
        let rows = qkv.narrow(0, rows.start as i64, rows.len() as i64);
        let mut start = 0;
        self.columns().map(|columns| {
            let part = rows.narrow(1, start, columns);
            start += columns;
            self.by_head(&part)
        })
    }

    /// `[S, heads D]` as `[1, heads, S, D]`.
    fn by_head(&self, x: &Tensor) -> Tensor {
        let [rows, columns] = [x.size()[0], x.size()[1]];
        x.view([1, rows, columns / self.head_dim as i64, self.head_dim as i64]).transpose(1, 2)
    }

    /// Writes each sequence's attention output to the first H D columns of `out`. Returns what backward needs, log-sum-exps: `[H, T]`, or `[1, H, S]`
    /// of each sequence.
    pub(crate) fn forward(
        &self,
        qkv: &Tensor,
        out: &Tensor,
        sequences: &[Range<usize>],
        masks: &mut WindowMasks,
    ) -> Result<Vec<Tensor>, Error> {
        #[cfg(target_arch = "x86_64")]
        if kernels::attention::take(qkv) {
            let normalisers = Tensor::empty([self.heads as i64, qkv.size()[0]], (Kind::Float, Device::Cpu));
            match qkv.kind() {
                Kind::Float => self.forward_kernel::<f32>(qkv, out, &normalisers, sequences),
                _ => self.forward_kernel::<Bf16>(qkv, out, &normalisers, sequences),
            }
            return Ok(vec![normalisers]);
        }
        self.forward_by_sequence(qkv, out, sequences, masks)
    }

    #[cfg(target_arch = "x86_64")]
    fn forward_kernel<E: Element>(&self, qkv: &Tensor, out: &Tensor, normalisers: &Tensor, sequences: &[Range<usize>]) {
        kernels::attention::forward::<E>(&Matrix::of(qkv), &Matrix::of(out), &Matrix::of(normalisers), sequences, self.extents());
    }

    #[cfg(target_arch = "x86_64")]
    fn extents(&self) -> kernels::attention::Heads {
        let Self { heads, key_value_heads, head_dim, window } = *self;
        kernels::attention::Heads { heads, key_value_heads, head_dim, window }
    }

    fn forward_by_sequence(
        &self,
        qkv: &Tensor,
        out: &Tensor,
        sequences: &[Range<usize>],
        masks: &mut WindowMasks,
    ) -> Result<Vec<Tensor>, Error> {
        let mut normalisers = Vec::with_capacity(sequences.len());
        for rows in sequences {
            let [q, k, v] = self.split(qkv, rows);
            let mask = masks.get(rows.len(), self.window, qkv);
            let result = self.attend(&q, &k, &v, mask.as_ref())?;
            let mut target = out.narrow(0, rows.start as i64, rows.len() as i64).narrow(1, 0, self.columns()[0]);
            target.copy_(&result.out.transpose(1, 2).reshape(target.size()));
            normalisers.push(result.logsumexp);
        }
        Ok(normalisers)
    }

    /// Attention of the last N rows of a sequence, `q` `[1, H, N, D]`, over all S of it, `k` and `v` `[1, G, S, D]`, written to the first
    /// H D columns of `out`. What none of these rows has in its window is not read, so that a row far behind the window's width costs no more
    /// than one just behind it.
    pub(crate) fn extend(&self, q: &Tensor, k: &Tensor, v: &Tensor, out: &Tensor) -> Result<(), Error> {
        let (new, length) = (q.size()[2], k.size()[2]);
        let first = self.window.map_or(0, |window| (length - new + 1 - window as i64).max(0));
        let seen = length - first;
        let [k, v] = [k, v].map(|x| x.narrow(2, first, seen));
        let causal = new == seen && self.window.is_none_or(|window| window as i64 >= seen);
        // One row alone sees everything that is left.
        let mask = (!causal && new > 1).then(|| mask(new, seen, self.window, q));
        let result = if q.device() == Device::Cpu {
            flash_attention_cpu(q, &k, &v, causal, mask.as_ref(), self.scale())?
        } else if causal {
            self.attend(q, &k, &v, None)?
        } else {
            let mask = mask.unwrap_or_else(|| Tensor::zeros([1, seen], (q.kind(), q.device())));
            self.attend(q, &k, &v, Some(&mask))?
        };
        let mut target = front(out, self.columns()[0] as usize);
        target.copy_(&result.out.transpose(1, 2).reshape(target.size()));
        Ok(())
    }

    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<AttentionOutput, Error> {
        if q.device() == Device::Cpu {
            return Ok(flash_attention_cpu(q, k, v, mask.is_none(), mask, self.scale())?);
        }
        let (scores, v) = self.scores(q, k, v, mask);
        let logsumexp = scores.logsumexp([-1], false);
        let out = (scores - logsumexp.unsqueeze(-1)).exp().matmul(&v).to_kind(q.kind());
        Ok(AttentionOutput { out, logsumexp })
    }

    /// Masked scaled scores `[1, H, S, S]` and values `[1, H, S, D]` in fp32.
    fn scores(&self, q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> (Tensor, Tensor) {
        let length = q.size()[2];
        let group = (self.heads / self.key_value_heads) as i64;
        let [q, k, v] = [q, k, v].map(|x| x.to_kind(Kind::Float));
        let [k, v] = [k, v].map(|x| x.repeat_interleave_self_int(group, 1, None));
        let causal = mask.map_or_else(|| self::mask(length, length, None, &q), Tensor::shallow_clone);
        (q.matmul(&k.transpose(2, 3)) * self.scale() + causal, v)
    }

    /// Writes to the first columns of `dqkv` the gradients of queries, keys and values, given `dout` and what forward read and returned.
    #[allow(clippy::too_many_arguments)] // the forward's, and two more
    pub(crate) fn backward(
        &self,
        qkv: &Tensor,
        out: &Tensor,
        normalisers: &[Tensor],
        dout: &Tensor,
        dqkv: &Tensor,
        sequences: &[Range<usize>],
        masks: &mut WindowMasks,
    ) -> Result<(), Error> {
        #[cfg(target_arch = "x86_64")]
        if let ([normalisers], true) = (normalisers, kernels::attention::take(qkv)) {
            match qkv.kind() {
                Kind::Float => self.backward_kernel::<f32>(qkv, out, normalisers, dout, dqkv, sequences),
                _ => self.backward_kernel::<Bf16>(qkv, out, normalisers, dout, dqkv, sequences),
            }
            return Ok(());
        }
        self.backward_by_sequence(qkv, out, normalisers, dout, dqkv, sequences, masks)
    }

    #[cfg(target_arch = "x86_64")]
    fn backward_kernel<E: Element>(
        &self,
        qkv: &Tensor,
        out: &Tensor,
        normalisers: &Tensor,
        dout: &Tensor,
        dqkv: &Tensor,
        sequences: &[Range<usize>],
    ) {
        let [qkv, out, dout] = [qkv, out, dout].map(Matrix::<E>::of);
        let saved = kernels::attention::Saved { qkv, out, normalisers_HT: Matrix::of(normalisers), dout };
        kernels::attention::backward(&saved, &Matrix::of(dqkv), sequences, self.extents());
    }

    #[allow(clippy::too_many_arguments)] // as `backward`
    fn backward_by_sequence(
        &self,
        qkv: &Tensor,
        out: &Tensor,
        normalisers: &[Tensor],
        dout: &Tensor,
        dqkv: &Tensor,
        sequences: &[Range<usize>],
        masks: &mut WindowMasks,
    ) -> Result<(), Error> {
        for (rows, logsumexp) in sequences.iter().zip(normalisers) {
            let [q, k, v] = self.split(qkv, rows);
            let part = |x: &Tensor| self.by_head(&x.narrow(0, rows.start as i64, rows.len() as i64).narrow(1, 0, self.columns()[0]));
            let forward = AttentionOutput { out: part(out), logsumexp: logsumexp.shallow_clone() };
            let mask = masks.get(rows.len(), self.window, qkv);
            let gradients = self.attend_backward(&part(dout), &q, &k, &v, &forward, mask.as_ref())?;
            for (target, gradient) in self.split(dqkv, rows).iter_mut().zip(&gradients) {
                target.copy_(gradient);
            }
        }
        Ok(())
    }

    fn attend_backward(
        &self,
        dout: &Tensor,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        forward: &AttentionOutput,
        mask: Option<&Tensor>,
    ) -> Result<[Tensor; 3], Error> {
        if q.device() == Device::Cpu {
            let (dq, dk, dv) = flash_attention_cpu_backward(dout, q, k, v, forward, mask.is_none(), mask, self.scale())?;
            return Ok([dq, dk, dv]);
        }
        // P = exp(scores - logsumexp); dP = dO Vᵀ; dS = P * (dP - sum(dO * O)) (FlashAttention-2, section 2.2).
        let (scores, v_H) = self.scores(q, k, v, mask);
        let p = (scores - forward.logsumexp.unsqueeze(-1)).exp();
        let dout = dout.to_kind(Kind::Float);
        let delta = (&dout * forward.out.to_kind(Kind::Float)).sum_dim_intlist(-1i64, true, Kind::Float);
        let ds = (dout.matmul(&v_H.transpose(2, 3)) - delta) * &p * self.scale();
        let group = (self.heads / self.key_value_heads) as i64;
        let k_H = k.to_kind(Kind::Float).repeat_interleave_self_int(group, 1, None);
        let summed = |x: Tensor| {
            let [batch, _, length, width] = [x.size()[0], x.size()[1], x.size()[2], x.size()[3]];
            x.view([batch, self.key_value_heads as i64, group, length, width]).sum_dim_intlist(2i64, false, Kind::Float)
        };
        let dq = ds.matmul(&k_H);
        let dk = summed(ds.transpose(2, 3).matmul(&q.to_kind(Kind::Float)));
        let dv = summed(p.transpose(2, 3).matmul(&dout));
        Ok([dq, dk, dv])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, distance, random};

    #[test]
    fn the_kernel_equals_the_library_and_the_plain_formula() {
        let lengths = [1, 7, 40, 95];
        let sequences: Vec<Range<usize>> = lengths
            .iter()
            .scan(0, |start, length| {
                *start += length;
                Some(*start - length..*start)
            })
            .collect();
        let tokens = lengths.iter().sum::<usize>() as i64;
        for (heads, key_value_heads, head_dim, window) in
            [(6, 2, 16, None), (3, 3, 10, None), (9, 3, 64, None), (4, 1, 6, Some(5)), (2, 1, 40, Some(33))]
        {
            let attention = Attention { heads, key_value_heads, head_dim, window };
            let columns = ((heads + 2 * key_value_heads) * head_dim) as i64;
            let width = (heads * head_dim) as i64;
            let qkv = random(&[tokens, columns + 3], 1).narrow(1, 0, columns) * 3.0;
            let dout = random(&[tokens, width], 2);
            let run = |by_sequence: bool| {
                let mut masks = WindowMasks::default();
                let (out, dqkv) = (dout.zeros_like(), qkv.zeros_like());
                if by_sequence {
                    let normalisers = attention.forward_by_sequence(&qkv, &out, &sequences, &mut masks).expect("sound");
                    attention.backward_by_sequence(&qkv, &out, &normalisers, &dout, &dqkv, &sequences, &mut masks).expect("sound");
                } else {
                    let normalisers = attention.forward(&qkv, &out, &sequences, &mut masks).expect("sound");
                    attention.backward(&qkv, &out, &normalisers, &dout, &dqkv, &sequences, &mut masks).expect("sound");
                }
                (out, dqkv)
            };
            let ((out, dqkv), (expected_out, expected_dqkv)) = (run(false), run(true));
            close(&out, &expected_out, 2e-6);
            close(&dqkv, &expected_dqkv, 5e-6);

            // The plain formula, which other devices use.
            let last = sequences[3].clone();
            let [q, k, v] = attention.split(&qkv, &last);
            let length = last.len() as i64;
            let additive = mask(length, length, window, &qkv);
            let (scores, values) = attention.scores(&q, &k, &v, Some(&additive));
            let plain = scores.softmax(-1, Kind::Float).matmul(&values).transpose(1, 2).reshape([length, width]);
            close(&out.narrow(0, last.start as i64, length), &plain, 2e-6);
        }
    }

    /// Attention of 40 tokens, 4 heads of 6 columns on one key-value head: its queries, keys and values, and its output `[S, H D]`.
    fn small(window: Option<usize>) -> (Attention, [Tensor; 3], Tensor) {
        let attention = Attention { heads: 4, key_value_heads: 1, head_dim: 6, window };
        let qkv = random(&[40, 36], 3) * 3.0;
        let whole = Tensor::zeros([40, 24], (Kind::Float, Device::Cpu));
        attention.forward_by_sequence(&qkv, &whole, std::slice::from_ref(&(0..40)), &mut WindowMasks::default()).expect("sound");
        (attention, attention.split(&qkv, &(0..40)), whole)
    }

    #[test]
    fn rows_that_are_added_attend_as_those_of_the_whole_do() {
        for window in [None, Some(1), Some(5), Some(39), Some(40), Some(64)] {
            let (attention, [q, k, v], whole) = small(window);
            for (before, new) in [(0, 1), (0, 40), (3, 1), (3, 2), (4, 1), (5, 1), (20, 1), (20, 7), (39, 1), (30, 10)] {
                let out = Tensor::zeros([new, 24], (Kind::Float, Device::Cpu));
                let [k, v] = [&k, &v].map(|x| x.narrow(2, 0, before + new));
                attention.extend(&q.narrow(2, before, new), &k, &v, &out).expect("sound");
                let distance = distance(&out, &whole.narrow(0, before, new));
                assert!(distance < 2e-6, "window {window:?}, {new} after {before}: {distance:.1e}");
            }
        }
    }

    /// Where a mask hid it, it would be read, and what is not a number would stay so.
    #[test]
    fn what_has_left_the_window_is_not_read() {
        let (attention, [q, k, v], whole) = small(Some(5));
        for new in [3, 1] {
            let before = 40 - new;
            for x in [&k, &v] {
                let _ = x.narrow(2, 0, before - 4).fill_(f64::NAN);
            }
            let out = Tensor::zeros([new, 24], (Kind::Float, Device::Cpu));
            attention.extend(&q.narrow(2, before, new), &k, &v, &out).expect("sound");
            close(&out, &whole.narrow(0, before, new), 2e-6);
        }
    }
}
