//! Blocks of ggml's types to fp32, bit-equal to the `gguf` package's `dequantize`.
//!
//! Every product and sum below is rounded to fp32 in the order in which the reference rounds it; Rust never fuses a multiplication with
//! an addition. Bit layouts: ggml's `ggml-common.h`.

use super::ggml_type::GgmlType;
use crate::Dtype;
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

/// Tensors with fewer elements than this are not worth a second thread.
const ELEMENTS_PER_THREAD: usize = 1 << 21;

/// Converts `stored` (whole blocks, as many as `out` needs) into `out`.
pub(crate) fn to_f32(dtype: Dtype, stored: &[u8], out: &mut [f32]) {
    debug_assert_eq!(stored.len() / dtype.block_bytes(), out.len() / dtype.block_elements());
    let wanted = out.len() / ELEMENTS_PER_THREAD;
    let threads = if wanted < 2 { 1 } else { wanted.min(std::thread::available_parallelism().map_or(1, usize::from)) };
    convert_in_parts(dtype, stored, out, threads);
}

fn convert_in_parts(dtype: Dtype, stored: &[u8], out: &mut [f32], threads: usize) {
    if threads == 1 {
        return convert(dtype, stored, out);
    }
    let blocks = (out.len() / dtype.block_elements()).div_ceil(threads).max(1);
    let parts = stored.chunks(blocks * dtype.block_bytes()).zip(out.chunks_mut(blocks * dtype.block_elements()));
    std::thread::scope(|scope| {
        for (stored, out) in parts {
            scope.spawn(move || convert(dtype, stored, out));
        }
    });
}

fn convert(dtype: Dtype, stored: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => {
            for (bytes, out) in stored.as_chunks::<4>().0.iter().zip(out) {
                *out = f32::from_le_bytes(*bytes);
            }
        }
        Dtype::F16 => f16_to_f32(stored, out),
        Dtype::BF16 => {
            for (bytes, out) in stored.as_chunks::<2>().0.iter().zip(out) {
                *out = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
            }
        }
        Dtype::Ggml(GgmlType::Q4_0) => each_block(stored, out, q4_0),
        Dtype::Ggml(GgmlType::Q4_1) => each_block(stored, out, q4_1),
        Dtype::Ggml(GgmlType::Q8_0) => each_block(stored, out, q8_0),
        Dtype::Ggml(GgmlType::Q4_K) => each_block(stored, out, q4_k),
        Dtype::Ggml(GgmlType::Q6_K) => each_block(stored, out, q6_k),
    }
}

fn each_block<const BYTES: usize, const ELEMENTS: usize>(
    stored: &[u8],
    out: &mut [f32],
    block: impl Fn(&[u8; BYTES], &mut [f32; ELEMENTS]),
) {
    for (bytes, out) in stored.as_chunks::<BYTES>().0.iter().zip(out.as_chunks_mut::<ELEMENTS>().0) {
        block(bytes, out);
    }
}

/// Half precision in chunks, so that the processor's own conversion is used where it has one. The bytes need not be aligned.
fn f16_to_f32(stored: &[u8], out: &mut [f32]) {
    const CHUNK: usize = 1024;
    let mut bits = [0u16; CHUNK];
    for (bytes, out) in stored.chunks(2 * CHUNK).zip(out.chunks_mut(CHUNK)) {
        let bits = &mut bits[..out.len()];
        for (bits, bytes) in bits.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *bits = u16::from_le_bytes(*bytes);
        }
        bits.reinterpret_cast::<f16>().convert_to_f32_slice(out);
    }
}

fn half(low: u8, high: u8) -> f32 {
    f16::from_le_bytes([low, high]).to_f32()
}

/// `d: f16, q: [u8; 16]`; element i is the low half of `q[i]`, element 16 + i its high half; `d (q - 8)`.
fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half(block[0], block[1]);
    let (low, high) = out.split_at_mut(16);
    for ((&q, low), high) in block[2..].iter().zip(low).zip(high) {
        *low = d * (i32::from(q & 15) - 8) as f32;
        *high = d * (i32::from(q >> 4) - 8) as f32;
    }
}

/// `d: f16, m: f16, q: [u8; 16]`; `d q + m`.
fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half(block[0], block[1]), half(block[2], block[3]));
    let (low, high) = out.split_at_mut(16);
    for ((&q, low), high) in block[4..].iter().zip(low).zip(high) {
        *low = d * f32::from(q & 15) + m;
        *high = d * f32::from(q >> 4) + m;
    }
}

/// `d: f16, q: [i8; 32]`; `d q`.
fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half(block[0], block[1]);
    for (&q, out) in block[2..].iter().zip(out) {
        *out = f32::from(q as i8) * d;
    }
}

/// `d: f16, dmin: f16, scales: [u8; 12], q: [u8; 128]`. Group g of 32 elements: `(d scale_g) q - (dmin min_g)`. Bytes 32 p.. of q hold
/// group 2 p in their low halves and group 2 p + 1 in their high ones.
fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, dmin) = (half(block[0], block[1]), half(block[2], block[3]));
    let packed = &block[4..16];
    // Groups 0 to 3 have their six bits in one byte; 4 to 7 four bits in the last four bytes, two on top of the first eight.
    let scale_and_min = |group: usize| {
        if group < 4 {
            (packed[group] & 63, packed[group + 4] & 63)
        } else {
            let low = packed[group + 4];
            ((low & 15) | (packed[group - 4] >> 6 << 4), (low >> 4) | (packed[group] >> 6 << 4))
        }
    };
    let (pairs, _) = out.as_chunks_mut::<64>();
    for (pair, (out, q)) in pairs.iter_mut().zip(block[16..].as_chunks::<32>().0).enumerate() {
        let (scale_low, min_low) = scale_and_min(2 * pair);
        let (scale_high, min_high) = scale_and_min(2 * pair + 1);
        let (d_low, m_low) = (d * f32::from(scale_low), dmin * f32::from(min_low));
        let (d_high, m_high) = (d * f32::from(scale_high), dmin * f32::from(min_high));
        let (low, high) = out.split_at_mut(32);
        for ((&q, low), high) in q.iter().zip(low).zip(high) {
            *low = d_low * f32::from(q & 15) - m_low;
            *high = d_high * f32::from(q >> 4) - m_high;
        }
    }
}

/// `low: [u8; 128], high: [u8; 64], scales: [i8; 16], d: f16`; element of group g (16 elements): `(d scale_g) (q - 32)`, the six bits of q
/// being four of `low` and two of `high`. In each half of 128 elements, run r of 32 takes the r / 2-th half-byte of `low[32 (r % 2)..]`
/// and the r-th pair of bits of `high`.
fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = half(block[208], block[209]);
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    for (run, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (part, r) = (run / 4, run % 4);
        let low = &low[64 * part + 32 * (r % 2)..][..32];
        let high = &high[32 * part..][..32];
        for (sixteen, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let dl = d * f32::from(scales[2 * run + sixteen] as i8);
            for (i, out) in out.iter_mut().enumerate() {
                let at = 16 * sixteen + i;
                let q = (low[at] >> (4 * (r / 2)) & 15) | (high[at] >> (2 * r) & 3) << 4;
                *out = dl * (i32::from(q) - 32) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests;
