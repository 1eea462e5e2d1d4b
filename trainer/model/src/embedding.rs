//! Token ids to hidden states.

use tch::{Kind, Tensor};

/// The embedding's rows.
#[derive(Debug)]
pub(crate) struct Embedding {
    /// `[V, H]`
    pub(crate) weight: Tensor,
    /// `[V, H]` fp32, where it is trained.
    pub(crate) gradient: Option<Tensor>,
}

impl Embedding {
    /// `h_TH`: the rows of the tokens.
    pub(crate) fn forward(&self, token_ids_T: &Tensor, h_TH: &Tensor) {
        if self.weight.kind() == h_TH.kind() {
            let _ = self.weight.index_select_out(h_TH, 0, token_ids_T);
        } else {
            h_TH.shallow_clone().copy_(&self.weight.index_select(0, token_ids_T));
        }
    }

    /// Adds each token's gradient to its row's.
    pub(crate) fn backward(&self, token_ids_T: &Tensor, dh_TH: &Tensor) {
        if let Some(gradient) = &self.gradient {
            let _ = gradient.shallow_clone().index_add_(0, token_ids_T, &dh_TH.to_kind(Kind::Float));
        }
    }
}
