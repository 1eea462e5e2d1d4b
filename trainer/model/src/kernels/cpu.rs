//! What the processor is good at.

/// Whether bf16 matrix products are faster than fp32 ones. Intel's AVX512-BF16 dot products run at half the rate of its fp32
/// multiply-adds per element pair, so without AMX they gain nothing; AMD's (Zen 4 and later) run at double rate.
#[cfg(target_arch = "x86_64")]
pub(crate) fn multiplies_bf16_fast() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    // SAFETY: every x86-64 processor has CPUID; leaf 7 is read only where leaf 0 says it exists, subleaf 1 where leaf 7 does.
    #[allow(unused_unsafe)]
    unsafe {
        let identity = __cpuid(0);
        if identity.eax < 7 {
            return false;
        }
        let features = __cpuid_count(7, 0);
        let amx_bf16 = features.edx & (1 << 22) != 0;
        let avx512_bf16 = features.eax >= 1 && __cpuid_count(7, 1).eax & (1 << 5) != 0;
        let amd = identity.ebx == u32::from_le_bytes(*b"Auth");
        amx_bf16 || (avx512_bf16 && amd)
    }
}

/// Whether bf16 matrix products are faster than fp32 ones.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn multiplies_bf16_fast() -> bool {
    true
}
