//! The tensors of a checkpoint, and the files that they are in.

use super::tensor_file::Part;
use crate::optimizer::Moments;
use tch::Tensor;
use temper_model::Parameter;

pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// The tensors of a checkpoint. Loading copies into them in place.
pub(crate) struct Tensors<'a> {
    /// Names, shapes and ranges in the flat tensors.
    pub(crate) parameters: &'a [Parameter],
    /// `[P]` fp32.
    pub(crate) master: &'a Tensor,
    /// `[P]` fp32 each.
    pub(crate) moments: &'a Moments,
}

impl<'a> Tensors<'a> {
    /// What each file holds, by its name.
    pub(super) fn files(&self) -> [(&'static str, Vec<Part<'a>>); 2] {
        // Named as torch's AdamW names them.
        let of = |prefix, flat| parts(prefix, self.parameters, flat);
        let moments = of("exp_avg.", &self.moments.first).chain(of("exp_avg_sq.", &self.moments.second));
        [weights(self.parameters, self.master), (OPTIMIZER, moments.collect())]
    }
}

/// The file of the trained values, `[P]` fp32.
pub(super) fn weights<'a>(parameters: &'a [Parameter], master: &Tensor) -> (&'static str, Vec<Part<'a>>) {
    (WEIGHTS, parts("", parameters, master).collect())
}

fn parts<'a>(prefix: &'static str, parameters: &'a [Parameter], flat: &Tensor) -> impl Iterator<Item = Part<'a>> + use<'a> {
    let flat = flat.shallow_clone();
    parameters.iter().map(move |parameter| Part {
        name: format!("{prefix}{}", parameter.name),
        shape: &parameter.shape,
        flat: flat.narrow(0, parameter.range.start as i64, parameter.range.len() as i64),
    })
}
