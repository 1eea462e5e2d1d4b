//! Tensors across the bridge: tch and cxx both hold a `at::Tensor*`, one made by `new`.

use crate::bridge::ffi;
use cxx::UniquePtr;
use tch::Tensor;

/// The same tensor as C++ sees it.
pub(crate) fn lend(tensor: &Tensor) -> &ffi::Tensor {
    // SAFETY: tch's C_tensor is at::Tensor (torch-sys declares it as torch::Tensor*), never null, and lives as long as the
    // tch::Tensor that owns it, whose lifetime the returned reference has.
    unsafe { &*tensor.as_ptr().cast::<ffi::Tensor>() }
}

/// A pointer for C++ to an optional tensor; null stands for none. Valid while the borrowed tensor is.
pub(crate) fn lend_optional(tensor: Option<&Tensor>) -> *const ffi::Tensor {
    tensor.map_or(std::ptr::null(), |tensor| std::ptr::from_ref(lend(tensor)))
}

/// Takes over a tensor that C++ made.
pub(crate) fn adopt(tensor: UniquePtr<ffi::Tensor>) -> Tensor {
    // SAFETY: the bridge allocates with std::make_unique, that is `new`, and tch frees with `delete`; into_raw gives up
    // ownership, so it is freed once.
    unsafe { Tensor::from_ptr(tensor.into_raw().cast()) }
}
