//! The two number types that kernels read and write.

/// A number type in a tensor's memory.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    /// Its name in libtorch.
    const KIND: tch::Kind;
    /// Widened to fp32.
    fn get(self) -> f32;
    /// Rounded to nearest, ties to even.
    fn put(value: f32) -> Self;
}

impl Element for f32 {
    const KIND: tch::Kind = tch::Kind::Float;
    #[inline(always)]
    fn get(self) -> f32 {
        self
    }
    #[inline(always)]
    fn put(value: f32) -> Self {
        value
    }
}

/// bfloat16: the upper half of an fp32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Bf16(pub(crate) u16);

impl Element for Bf16 {
    const KIND: tch::Kind = tch::Kind::BFloat16;
    #[inline(always)]
    fn get(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
    #[inline(always)]
    fn put(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        // NaN must not round to infinity.
        Self(if value.is_nan() { 0x7fc0 } else { rounded as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_as_libtorch_does() {
        let values: Vec<f32> =
            (0..20_000u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9))).chain([0.0, -0.0, f32::INFINITY, f32::MAX]).collect();
        let expected = tch::Tensor::from_slice(&values).to_kind(tch::Kind::BFloat16).to_kind(tch::Kind::Float);
        let expected = Vec::<f32>::try_from(expected).expect("one dimension");
        for (value, expected) in values.iter().zip(expected) {
            let got = Bf16::put(*value).get();
            assert!(got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan()), "{value}: {got} {expected}");
        }
    }
}
