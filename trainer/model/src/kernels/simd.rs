//! Compiling a loop for several instruction sets, and the few vector idioms that compilers need to be shown.

/// Defines `$name`, which runs the given generic body compiled for the best instruction set that the processor has. The body is
/// ordinary Rust: inlined into a function with wider registers enabled, it vectorises. No fused multiply-adds appear, so results do not
/// depend on the instruction set.
macro_rules! multiversion {
    ($(#[$meta:meta])* fn $name:ident [$($generics:tt)*] [$($use_generics:tt)*] ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[inline]
        pub(crate) fn $name<$($generics)*>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<$($generics)*>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
                fn avx512<$($generics)*>($($arg: $ty),*) $(-> $ret)? { body::<$($use_generics)*>($($arg),*) }
                #[target_feature(enable = "avx2")]
                fn avx2<$($generics)*>($($arg: $ty),*) $(-> $ret)? { body::<$($use_generics)*>($($arg),*) }
                match $crate::kernels::simd::level() {
                    // SAFETY: the processor has these instructions: `level` asked it.
                    $crate::kernels::simd::Level::Avx512 => return unsafe { avx512::<$($use_generics)*>($($arg),*) },
                    // SAFETY: as above.
                    $crate::kernels::simd::Level::Avx2 => return unsafe { avx2::<$($use_generics)*>($($arg),*) },
                    $crate::kernels::simd::Level::Baseline => {}
                }
            }
            body::<$($use_generics)*>($($arg),*)
        }
    };
}
pub(crate) use multiversion;

/// Instruction sets that loops are compiled for.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) enum Level {
    /// 512-bit registers.
    Avx512,
    /// 256-bit registers.
    Avx2,
    /// What every x86-64 processor has.
    Baseline,
}

/// The best of them that this processor has.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn level() -> Level {
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
    {
        Level::Avx512
    } else if is_x86_feature_detected!("avx2") {
        Level::Avx2
    } else {
        Level::Baseline
    }
}

/// Independent partial sums, so that additions vectorise; their order is fixed.
const LANES: usize = 32;

/// `sum f(a[i], b[i])`, in a fixed order that vectorises.
#[inline(always)]
pub(crate) fn sum<A: Copy, B: Copy>(a: &[A], b: &[B], f: impl Fn(A, B) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    for (partial, (&a, &b)) in lanes.iter_mut().zip(rest) {
        *partial += f(a, b);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `max f(a[i])`; negative infinity for none.
#[inline(always)]
pub(crate) fn max<A: Copy>(a: &[A], f: impl Fn(A) -> f32) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder();
    let keep = |partial: &mut f32, value: f32| *partial = if value > *partial { value } else { *partial };
    for chunk in chunks {
        for lane in 0..LANES {
            keep(&mut lanes[lane], f(chunk[lane]));
        }
    }
    for (partial, &a) in lanes.iter_mut().zip(rest) {
        keep(partial, f(a));
    }
    lanes.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

/// `e^x` to about 2 units in the last place, branch-free: `2^n * p(r)` with the polynomial of Cephes' `expf` (Moshier). NaN stays NaN; results
/// below the smallest normal number are 0.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
    let clamped = if x > 88.72 { 88.72 } else { x };
    let clamped = if clamped < -87.33 { -87.33 } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4f32;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    p = p * r * r + r + 1.0;
    // 2^n in two factors: n may be 128, which one exponent cannot hold.
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = exponent >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    let result = p * power(half) * power(exponent - half);
    if x < -87.33 { 0.0 } else { result }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_true_value_everywhere() {
        for step in 0..200_000 {
            let x = -90.0 + step as f32 * (179.0 / 200_000.0);
            let (got, truth) = (f64::from(exp(x)), f64::from(x).exp());
            if truth < 1.3e-38 {
                assert!(got <= 1.4e-38, "{x}: {got}");
            } else if truth < 3.3e38 {
                assert!((got - truth).abs() <= 3e-7 * truth, "{x}: {got} {truth}");
            }
        }
        assert!(exp(f32::NAN).is_nan());
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn sums_and_maxima_take_every_element() {
        for length in [0, 1, 31, 32, 33, 100] {
            let values: Vec<f32> = (0..length).map(|i| ((i * 7) % 11) as f32 - 5.0).collect();
            assert_eq!(sum(&values, &values, |a, b| a + b), 2.0 * values.iter().sum::<f32>());
            assert_eq!(max(&values, |a| a), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
