//! From hidden states to losses: the final norm and the output projection, for target rows only.
//!
//! Shapes: N target rows, H hidden, V vocabulary.

use crate::cross_entropy::cross_entropy;
use crate::projection::{add_product, multiply};
use crate::rms_norm::RmsNorm;
use crate::workspace::Workspace;
use tch::{Kind, Tensor};

/// Final norm and output projection.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) norm: RmsNorm,
    /// `[V, H]` in the type that matrices are multiplied in; the embedding itself where they are tied.
    pub(crate) weight: Tensor,
    /// `[V, H]` fp32, where the weight is trained.
    pub(crate) gradient: Option<Tensor>,
}

/// Logits that exist at a time: 64 MiB in fp32. Whole rows of a large vocabulary would not fit into memory for all targets.
const LOGITS_AT_A_TIME: usize = 16 * 1024 * 1024;

impl Head {
    /// `[N, V]` logits.
    pub(crate) fn logits(&self, h_NH: &Tensor) -> Tensor {
        let x = h_NH.empty_like();
        self.norm.forward(h_NH, &x);
        x.mm(&self.weight.tr())
    }

    /// Sum of the losses of `targets_N`, in nats. With `scale`, also the gradient of `scale` times that sum: the hidden states' goes to `dh_NH`, the
    /// parameters' is added to theirs.
    pub(crate) fn loss(&self, h_NH: &Tensor, targets_N: &[i64], backward: Option<(f64, &Tensor)>, workspace: &mut Workspace) -> f64 {
        let (vocabulary, hidden) = (self.weight.size()[0] as usize, self.weight.size()[1] as usize);
        let count = targets_N.len();
        let x = workspace.scratch("x_head", count, hidden);
        self.norm.forward(h_NH, &x);
        let dx = backward.map(|_| workspace.scratch("dx_head", count, hidden));
        let rows = (LOGITS_AT_A_TIME / vocabulary).clamp(16, count.max(16));
        let mut total = 0.0;
        for (chunk, targets) in targets_N.chunks(rows).enumerate() {
            let at = |tensor: &Tensor| tensor.narrow(0, (chunk * rows) as i64, targets.len() as i64);
            let logits = workspace.scratch("logits", targets.len(), vocabulary);
            multiply(&logits, &at(&x), &self.weight.tr());
            let losses = cross_entropy(&logits, targets, backward.map(|(scale, _)| scale));
            total += losses.sum(Kind::Double).double_value(&[]);
            if let Some(dx) = &dx {
                multiply(&at(dx), &logits, &self.weight);
                if let Some(gradient) = &self.gradient {
                    add_product(gradient, &logits.tr(), &at(&x));
                }
            }
        }
        if let (Some((_, dh)), Some(dx)) = (backward, &dx) {
            let _ = dh.shallow_clone().zero_();
            self.norm.backward(h_NH, dx, dh, None);
        }
        total
    }
}
