//! ggml's tensor types.

use crate::Dtype;

/// A block-quantised type that can be read. Names are ggml's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types)]
pub enum GgmlType {
    /// 32 four-bit numbers and a scale.
    Q4_0,
    /// 32 four-bit numbers, a scale and a minimum.
    Q4_1,
    /// 32 eight-bit numbers and a scale.
    Q8_0,
    /// 256 four-bit numbers in 8 groups with six-bit scales and minima.
    Q4_K,
    /// 256 six-bit numbers in 16 groups with eight-bit scales.
    Q6_K,
}

impl GgmlType {
    /// ggml's name.
    pub fn name(self) -> &'static str {
        match self {
            GgmlType::Q4_0 => "Q4_0",
            GgmlType::Q4_1 => "Q4_1",
            GgmlType::Q8_0 => "Q8_0",
            GgmlType::Q4_K => "Q4_K",
            GgmlType::Q6_K => "Q6_K",
        }
    }

    /// Elements in a block.
    pub fn block_elements(self) -> usize {
        match self {
            GgmlType::Q4_0 | GgmlType::Q4_1 | GgmlType::Q8_0 => 32,
            GgmlType::Q4_K | GgmlType::Q6_K => 256,
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            GgmlType::Q4_0 => 18,
            GgmlType::Q4_1 => 20,
            GgmlType::Q8_0 => 34,
            GgmlType::Q4_K => 144,
            GgmlType::Q6_K => 210,
        }
    }
}

/// What can be read, for messages.
pub(crate) const SUPPORTED: &str = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K";

/// The type with this number in the tensor table, or the name of one that cannot be read.
pub(crate) fn from_number(number: u32) -> Result<Dtype, String> {
    let name = match number {
        0 => return Ok(Dtype::F32),
        1 => return Ok(Dtype::F16),
        2 => return Ok(Dtype::Ggml(GgmlType::Q4_0)),
        3 => return Ok(Dtype::Ggml(GgmlType::Q4_1)),
        8 => return Ok(Dtype::Ggml(GgmlType::Q8_0)),
        12 => return Ok(Dtype::Ggml(GgmlType::Q4_K)),
        14 => return Ok(Dtype::Ggml(GgmlType::Q6_K)),
        30 => return Ok(Dtype::BF16),
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        13 => "Q5_K",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24 => "I8",
        25 => "I16",
        26 => "I32",
        27 => "I64",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        40 => "NVFP4",
        41 => "Q1_0",
        _ => return Err(format!("number {number}")),
    };
    Err(name.to_owned())
}
