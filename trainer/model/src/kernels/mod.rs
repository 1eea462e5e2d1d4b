//! Loops over raw fp32 and bf16 memory, for the CPU: what ATen would do in several passes, in one.
//!
//! Each runs on libtorch's own threads, computes in fp32, and adds in an order that depends on the shapes alone, so equal inputs give equal bits.
//! The modules beside this folder hold the same mathematics in ATen operations, used on other devices and as the reference in tests.
#![allow(unsafe_code)] // raw tensor memory; each block says why it is sound

#[cfg(target_arch = "x86_64")]
pub(crate) mod attention;
pub(crate) mod cpu;
pub(crate) mod dropout;
pub(crate) mod element;
pub(crate) mod matrix;
pub(crate) mod rms_norm;
pub(crate) mod rope;
pub(crate) mod simd;
pub(crate) mod softmax;
pub(crate) mod swiglu;
#[cfg(target_arch = "x86_64")]
pub(crate) mod tile;

pub(crate) use element::{Bf16, Element};
pub(crate) use matrix::Matrix;

use tch::{Device, Kind, Tensor};

/// Whether these kernels take the tensor.
pub(crate) fn take(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && matches!(tensor.kind(), Kind::Float | Kind::BFloat16)
}

/// Rows that one thread takes at a time, so that a thread gets at least about 16 thousand elements.
pub(crate) fn grain(columns: usize) -> usize {
    (16_384 / columns.max(1)).max(1)
}
