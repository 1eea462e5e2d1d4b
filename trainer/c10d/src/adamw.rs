//! AdamW in one pass over memory.

use crate::bridge::ffi;
use crate::error::Error;
use crate::tensor::lend;
use tch::{Kind, Tensor};

/// AdamW's numbers (Loshchilov & Hutter, 2019, arXiv:1711.05101), as `torch.optim.AdamW` defines them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adamw {
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Decay of the first moment's running mean.
    pub beta1: f64,
    /// Decay of the second moment's running mean.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled decay: the parameter is first multiplied by `1 - learning_rate * weight_decay`.
    pub weight_decay: f64,
}

const NAME: &str = "fused_adamw_";

/// One step in place: updates `parameter` and both moments from `gradient`.
///
/// All four are contiguous fp32 of one shape, or views of flat tensors: call it once for each region that has its own weight
/// decay. `step` counts from 1 and corrects the moments' bias; the kernel takes it in fp32, exact up to 2^24. The gradient is
/// read, not cleared.
pub fn fused_adamw_(
    numbers: &Adamw,
    step: u32,
    parameter: &mut Tensor,
    gradient: &Tensor,
    first_moment: &mut Tensor,
    second_moment: &mut Tensor,
) -> Result<(), Error> {
    let shape = parameter.size();
    let refuse = |argument, reason| Err(Error::Argument { what: NAME, argument, reason });
    if step == 0 {
        return refuse("step", "0 is not a step: steps count from 1".into());
    }
    let tensors =
        [("parameter", &*parameter), ("gradient", gradient), ("first_moment", &*first_moment), ("second_moment", &*second_moment)];
    for (name, tensor) in tensors {
        if tensor.kind() != Kind::Float || !tensor.is_contiguous() {
            return refuse(name, format!("{:?} with strides {:?} is not contiguous fp32", tensor.kind(), tensor.stride()));
        }
        if tensor.size() != shape {
            return refuse(name, format!("{:?} is not the parameter's {shape:?}", tensor.size()));
        }
    }
    let numbers = ffi::AdamwNumbers {
        learning_rate: numbers.learning_rate,
        beta1: numbers.beta1,
        beta2: numbers.beta2,
        weight_decay: numbers.weight_decay,
        epsilon: numbers.epsilon,
    };
    ffi::fused_adamw(lend(parameter), lend(gradient), lend(first_moment), lend(second_moment), step as f32, &numbers)
        .map_err(|exception| Error::from_local_exception(NAME, &exception))
}
