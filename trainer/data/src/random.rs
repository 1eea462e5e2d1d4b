//! The one random number generator of the data path. It is written out here so that the order of the data can never change with a
//! dependency: a job that resumes after an upgrade still sees every sample once.

/// SplitMix64 (Steele, Lea and Flood 2014): a 64-bit counter passed through a mixing function.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64 {
    state: u64,
}

/// The counter's increment, 2^64 divided by the golden ratio.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix64 {
    /// A stream of its own for each pair of seed and stream number: neighbouring seeds and epochs give unrelated streams.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self { state: mix(seed.wrapping_add(mix(stream.wrapping_add(GAMMA)))) }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A number below `bound`, every one equally likely (Lemire 2019: a wide multiplication, with the few uneven draws thrown away).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "there is no number below zero");
        let uneven = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= uneven {
                return (product >> 64) as u64;
            }
        }
    }
}

/// SplitMix64's output function: a bijection of the 64-bit numbers in which each input bit changes about half of the output bits.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Fisher and Yates' shuffle of `0..length`, from the end to the front.
pub(crate) fn permutation(length: u32, random: &mut SplitMix64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..length).collect();
    for last in (1..order.len()).rev() {
        let other = random.below(last as u64 + 1) as usize;
        order.swap(last, other);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::{SplitMix64, permutation};

    #[test]
    fn the_stream_never_changes() {
        let mut random = SplitMix64 { state: 1234567 };
        // The first outputs of the published algorithm for this state.
        assert_eq!([random.next_u64(), random.next_u64()], [6457827717110365317, 3203168211198807973]);
        assert_eq!(permutation(8, &mut SplitMix64::new(42, 0)), permutation(8, &mut SplitMix64::new(42, 0)));
        assert_ne!(permutation(100, &mut SplitMix64::new(42, 0)), permutation(100, &mut SplitMix64::new(42, 1)));
        assert_ne!(permutation(100, &mut SplitMix64::new(42, 1)), permutation(100, &mut SplitMix64::new(43, 0)));
    }

    #[test]
    fn every_place_is_equally_likely() {
        let mut counts = [[0u32; 4]; 4];
        for seed in 0..4000 {
            for (place, item) in permutation(4, &mut SplitMix64::new(seed, 3)).into_iter().enumerate() {
                counts[place][item as usize] += 1;
            }
        }
        assert!(counts.iter().flatten().all(|&count| (880..1120).contains(&count)), "{counts:?}");
    }
}
