//! Cross-entropy of softmax over rows of logits, and its gradient in the logits' own memory.

use super::simd::{exp, max, multiversion, sum};
use super::{Element, Matrix};
use temper_c10d::parallel_for;

multiversion! {
    /// `(max, ln(sum(exp(z - max))))` of a row.
    fn log_normaliser [E: Element] [E] (logits: &[E]) -> (f32, f32) {
        let highest = max(logits, E::get);
        let total = sum(logits, logits, |z, _| exp(z.get() - highest));
        (highest, total.ln())
    }
}

multiversion! {
    fn probabilities [E: Element] [E] (logits: &mut [E], offset: f32, scale: f32) {
        for z in logits {
            *z = E::put(exp(z.get() - offset) * scale);
        }
    }
}

/// Writes `-ln softmax(z)[target]` of each row of `logits_NV` to `losses_N`, in nats. With `scale`, the logits then become
/// `scale * (softmax(z) - onehot(target))`, the gradient of `scale * loss`.
pub(crate) fn cross_entropy<E: Element>(logits_NV: &Matrix<E>, targets_N: &[i64], scale: Option<f32>, losses_N: &Matrix<f32>) {
    parallel_for(logits_NV.rows, 1, |rows| {
        for n in rows {
            let target = targets_N[n] as usize;
            // SAFETY: row n is this thread's alone, and so is element n of the losses (a matrix of N rows).
            let (logits, loss) = unsafe { (logits_NV.row_mut(n), losses_N.row_mut(n)) };
            let (highest, log_total) = log_normaliser(logits);
            let target_logit = logits[target].get();
            loss[0] = log_total + (highest - target_logit);
            if let Some(scale) = scale {
                let target_probability = exp(target_logit - highest - log_total);
                probabilities(logits, highest + log_total, scale);
                logits[target] = E::put((target_probability - 1.0) * scale);
            }
        }
    });
}
