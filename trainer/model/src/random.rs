//! Random numbers by counting: the n-th number of a stream is a function of the stream's key and n, so order and threads do not matter.

/// A stream of numbers, named by its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    key: u64,
}

/// The finaliser of SplitMix64 (Steele, Lea & Flood 2014): a bijection that passes for random on consecutive inputs.
#[inline(always)]
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 2^64 divided by the golden ratio, odd: SplitMix64's step.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    /// The stream of these numbers.
    pub(crate) fn new(key: &[u64]) -> Self {
        Self { key: key.iter().fold(STEP, |key, &part| mix(key ^ mix(part.wrapping_add(STEP)).wrapping_mul(STEP))) }
    }

    /// The stream of this one's key and one more number.
    #[inline(always)]
    pub(crate) fn with(self, part: u64) -> Self {
        Self { key: mix(self.key ^ mix(part.wrapping_add(STEP)).wrapping_mul(STEP)) }
    }

    /// 64 random bits.
    #[inline(always)]
    pub(crate) fn bits(self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_mul(STEP)))
    }

    /// A multiple of 2^-24 in `[0, 1)`.
    #[inline(always)]
    pub(crate) fn uniform(self, index: u64) -> f32 {
        (self.bits(index) >> 40) as f32 * (1.0 / 16_777_216.0)
    }

    /// A multiple of 2^-53 in `[0, 1)`.
    pub(crate) fn uniform_f64(self, index: u64) -> f64 {
        (self.bits(index) >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }
}

/// FNV-1a of a name, to key a stream by it.
pub(crate) fn name_key(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_uniform_and_streams_differ() {
        let count = 100_000;
        for key in [[0, 0], [1, 0], [0, 1]] {
            let stream = Stream::new(&key);
            let mean = (0..count).map(|i| f64::from(stream.uniform(i))).sum::<f64>() / count as f64;
            assert!((mean - 0.5).abs() < 0.005, "{mean}");
        }
        assert_ne!(Stream::new(&[0, 1]).bits(0), Stream::new(&[1, 0]).bits(0));
        assert_eq!(Stream::new(&[3]).with(4).bits(5), Stream::new(&[3, 4]).bits(5));
    }
}
