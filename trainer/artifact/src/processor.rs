//! How this machine multiplies bf16 matrices: training takes more memory where it has no fast instructions for them.

use crate::memory::Bf16;
use temper_contract::config::Device;

/// What training on this machine's device does. GPUs multiply bf16 as it is.
pub fn bf16(device: Device) -> Bf16 {
    match device {
        Device::Cuda => Bf16::Direct,
        Device::Cpu if !cfg!(target_arch = "x86_64") => Bf16::Direct,
        Device::Cpu => of_cpuinfo(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
    }
}

/// From the system's description of an x86-64 processor. The rule is the model's own (its `kernels::cpu`): AMX, or AVX512-BF16 by AMD;
/// Intel's AVX512-BF16 is no faster than its fp32.
fn of_cpuinfo(text: &str) -> Bf16 {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim()));
    let has = |flag: &str| field("flags").unwrap_or_default().split_ascii_whitespace().any(|word| word == flag);
    let is_fast = has("amx_bf16") || (has("avx512_bf16") && field("vendor_id") == Some("AuthenticAMD"));
    if is_fast { Bf16::Direct } else { Bf16::Widened }
}

#[cfg(test)]
mod tests {
    use super::of_cpuinfo;
    use crate::memory::Bf16;

    #[test]
    fn the_rule_is_the_models() {
        let cpuinfo =
            |vendor: &str, flags: &str| format!("processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: fpu {flags} sse\nbugs\t\t: x\n");
        for (vendor, flags, expected) in [
            ("AuthenticAMD", "avx512_bf16", Bf16::Direct),
            ("AuthenticAMD", "avx512f", Bf16::Widened),
            ("GenuineIntel", "avx512_bf16", Bf16::Widened),
            ("GenuineIntel", "avx512_bf16 amx_bf16", Bf16::Direct),
        ] {
            assert_eq!(of_cpuinfo(&cpuinfo(vendor, flags)), expected, "{vendor} {flags}");
        }
        assert_eq!(of_cpuinfo(""), Bf16::Widened);
    }
}
