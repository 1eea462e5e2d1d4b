//! How a tensor's numbers are stored.

use crate::GgmlType;

/// Storage type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
    /// A block-quantised type of ggml.
    Ggml(GgmlType),
}

impl Dtype {
    /// The name in files: `F32`, `BF16`, `Q4_K`, ...
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::BF16 => "BF16",
            Dtype::Ggml(kind) => kind.name(),
        }
    }

    /// Elements in a block that is stored together; 1 for the plain types.
    pub fn block_elements(self) -> usize {
        match self {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => 1,
            Dtype::Ggml(kind) => kind.block_elements(),
        }
    }

    /// Bytes of a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            Dtype::Ggml(kind) => kind.block_bytes(),
        }
    }
}

/// A tensor's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Hugging Face name, such as `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Logical shape as in transformers: `[out, in]` for a linear weight.
    pub shape: Vec<usize>,
    /// Storage type.
    pub dtype: Dtype,
}

impl TensorInfo {
    /// Number of elements. Readers have checked that it does not overflow.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size in the file. Readers have checked that its elements are whole blocks.
    pub fn stored_bytes(&self) -> usize {
        self.elements() / self.dtype.block_elements() * self.dtype.block_bytes()
    }
}
