//! In which number types weights rest and matrices are multiplied.

use tch::{Device, Kind};
use temper_contract::config::Precision;

/// How numbers are kept between operations and what matrices are multiplied in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// fp32 throughout.
    Fp32,
    /// bf16 throughout, with fp32 inside kernels.
    Bf16,
    /// Weights and kept activations rest in bf16 and are widened to fp32 where they are used: as exact as bf16 with fp32 accumulation, and
    /// twice as fast on processors whose bf16 instructions are slower than their fp32 ones.
    Bf16Widened,
}

/// Whether training on this machine widens bf16 to fp32 where it is used, which takes more memory.
pub fn widens_bf16(device: Device) -> bool {
    Arithmetic::for_training(Precision::Bf16, device) == Arithmetic::Bf16Widened
}

impl Arithmetic {
    /// What to train with.
    pub(crate) fn for_training(precision: Precision, device: Device) -> Self {
        match precision {
            Precision::Fp32 => Self::Fp32,
            Precision::Bf16 if device == Device::Cpu && !crate::kernels::cpu::multiplies_bf16_fast() => Self::Bf16Widened,
            Precision::Bf16 => Self::Bf16,
        }
    }

    /// What to generate with: one token at a time is bound by reading weights, so they are used as they rest.
    pub(crate) fn for_inference(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self::Fp32,
            Precision::Bf16 => Self::Bf16,
        }
    }

    /// Type in which frozen weights and kept activations rest.
    pub(crate) fn storage(self) -> Kind {
        match self {
            Self::Fp32 => Kind::Float,
            Self::Bf16 | Self::Bf16Widened => Kind::BFloat16,
        }
    }

    /// Type in which matrices are multiplied.
    pub(crate) fn work(self) -> Kind {
        match self {
            Self::Fp32 | Self::Bf16Widened => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }

    /// Whether values are rounded to bf16 before work that must see them as they will be kept.
    pub(crate) fn rounds(self) -> bool {
        self == Self::Bf16Widened
    }
}
