//! What a device's memory is used for.

use tch::Device;

/// Bytes of device memory that libtorch's allocator holds for this process, in use or kept for use; 0 for the CPU.
#[cfg(feature = "cuda")]
pub fn reserved_bytes(device: Device) -> u64 {
    match device {
        Device::Cuda(index) => i32::try_from(index).ok().and_then(|index| crate::bridge::ffi::cuda_reserved_bytes(index).ok()).unwrap_or(0),
        _ => 0,
    }
}

/// Bytes of device memory that libtorch's allocator holds for this process; a build without CUDA has none.
#[cfg(not(feature = "cuda"))]
pub fn reserved_bytes(_device: Device) -> u64 {
    0
}
