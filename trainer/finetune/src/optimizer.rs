//! AdamW over the flat parameters: global norm, clipping, update.
//!
//! P: trained values. Loshchilov & Hutter, 2019 (arXiv:1711.05101), with `torch.optim.AdamW`'s numbers and
//! `torch.nn.utils.clip_grad_norm_`'s clipping. Every rank holds the same reduced gradient and so computes the same bits.

use crate::failure::{Failure, Result};
use tch::{Kind, Tensor};
use temper_c10d::Adamw;
use temper_contract::config::Hyperparameters;
use temper_model::FlatParameters;

/// Both moments, `[P]` fp32 each.
#[derive(Debug)]
pub(crate) struct Moments {
    pub(crate) first: Tensor,
    pub(crate) second: Tensor,
}

impl Moments {
    /// Zeros like `master`.
    pub(crate) fn zeros_like(master: &Tensor) -> Result<Self> {
        let zeros = || {
            master.f_zeros_like().map_err(|error| {
                Failure::new(
                    temper_contract::ExitCode::Unexpected,
                    format!("failed to allocate the optimizer's state of {} values: {error}", 2 * master.numel()),
                    "lower spec.method.lora.r, use method lora instead of full, or give the rank more memory",
                )
            })
        };
        Ok(Self { first: zeros()?, second: zeros()? })
    }
}

/// What the gradient's norm says about a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Multiply the gradient by this and update.
    Update {
        /// 1 or the clipping factor.
        gradient_scale: f64,
    },
    /// Something is not finite: leave everything as it is.
    Skip,
}

/// Decides from the reduced loss and norm, which are the same on all ranks.
pub(crate) fn judge(loss: f64, gradient_norm: f64, max_grad_norm: f64) -> Verdict {
    if !loss.is_finite() || !gradient_norm.is_finite() {
        return Verdict::Skip;
    }
    // torch adds 1e-6 to the norm and never scales up.
    let factor = if max_grad_norm > 0.0 { max_grad_norm / (gradient_norm + 1e-6) } else { 1.0 };
    Verdict::Update { gradient_scale: factor.min(1.0) }
}

/// Elements whose squares are summed in fp32 before the sums are added in fp64. Fixed, so that the norm's bits are too.
const NORM_CHUNK: i64 = 1 << 18;

/// The 2-norm of a flat gradient `[P]`.
pub(crate) fn global_norm(gradient: &Tensor) -> f64 {
    let length = gradient.numel() as i64;
    let chunks = (0..length).step_by(NORM_CHUNK as usize).map(|start| gradient.narrow(0, start, NORM_CHUNK.min(length - start)));
    let squares = chunks.map(|chunk| {
        let norm = chunk.norm().double_value(&[]);
        norm * norm
    });
    squares.sum::<f64>().sqrt()
}

/// Updates the master values and both moments in place.
pub(crate) fn update(
    hyperparameters: &Hyperparameters,
    learning_rate: f64,
    update_number: u64,
    gradient_scale: f64,
    parameters: &mut FlatParameters,
    moments: &mut Moments,
) -> Result<()> {
    if gradient_scale != 1.0 {
        let _ = parameters.gradient.g_mul_scalar_(gradient_scale);
    }
    let step = u32::try_from(update_number).map_err(|_| Failure::unexpected(format!("step {update_number} is beyond 2^32")))?;
    for (range, decays) in parameters.decay_segments() {
        let part = |tensor: &Tensor| tensor.narrow(0, range.start as i64, range.len() as i64);
        let numbers = Adamw {
            learning_rate,
            beta1: hyperparameters.adam_beta1,
            beta2: hyperparameters.adam_beta2,
            epsilon: hyperparameters.adam_epsilon,
            weight_decay: if decays { hyperparameters.weight_decay } else { 0.0 },
        };
        temper_c10d::fused_adamw_(
            &numbers,
            step,
            &mut part(&parameters.master),
            &part(&parameters.gradient),
            &mut part(&moments.first),
            &mut part(&moments.second),
        )?;
    }
    debug_assert_eq!(parameters.master.kind(), Kind::Float);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Verdict, global_norm, judge};
    use tch::{Kind, Tensor};

    #[test]
    fn a_loss_or_norm_that_is_not_finite_skips_the_step() {
        for (loss, norm) in [(f64::NAN, 1.0), (1.0, f64::NAN), (1.0, f64::INFINITY), (f64::INFINITY, 1.0)] {
            assert_eq!(judge(loss, norm, 1.0), Verdict::Skip, "{loss} {norm}");
        }
    }

    #[test]
    fn the_gradient_is_only_scaled_down() {
        assert_eq!(judge(1.0, 0.5, 1.0), Verdict::Update { gradient_scale: 1.0 });
        assert_eq!(judge(1.0, 50.0, 0.0), Verdict::Update { gradient_scale: 1.0 });
        assert_eq!(judge(1.0, 4.0, 1.0), Verdict::Update { gradient_scale: 1.0 / (4.0 + 1e-6) });
    }

    #[test]
    fn the_norm_is_that_of_the_whole_whatever_the_chunks() {
        let gradient = Tensor::ones([3_000_000], (Kind::Float, tch::Device::Cpu));
        assert!((global_norm(&gradient) - 3_000_000_f64.sqrt()).abs() < 1e-4);
        let _ = gradient.narrow(0, 2_999_999, 1).fill_(f64::NAN);
        assert!(global_norm(&gradient).is_nan());
    }
}
