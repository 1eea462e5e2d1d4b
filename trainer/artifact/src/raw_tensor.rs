//! A tensor's bytes in a mapped file, and their conversion to fp32.

use crate::gguf::dequantize;
use crate::{Dtype, TensorInfo};

/// A tensor as stored. Its byte count has been checked against shape and type.
#[derive(Clone, Debug)]
pub struct RawTensor<'a> {
    pub(crate) info: TensorInfo,
    pub(crate) stored: &'a [u8],
    /// Heads whose rows llama.cpp's converter reordered for its rotary embedding, to be put back.
    pub(crate) permuted_heads: Option<usize>,
}

impl<'a> RawTensor<'a> {
    /// Name, logical shape and storage type.
    pub fn info(&self) -> &TensorInfo {
        &self.info
    }

    /// The little-endian elements in row-major order, where the file holds them like that: a plain type and no reordered rows.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        let dense = !matches!(self.info.dtype, Dtype::Ggml(_)) && self.permuted_heads.is_none();
        dense.then_some(self.stored)
    }

    /// All elements in row-major order, in fp32: dequantised, and with the rows in Hugging Face's order.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.info.elements()];
        self.copy_to_f32(&mut out);
        out
    }

    /// [`to_f32`](Self::to_f32) into memory of the caller's.
    ///
    /// # Panics
    /// If `out` has another length than the tensor has elements.
    pub fn copy_to_f32(&self, out: &mut [f32]) {
        assert_eq!(out.len(), self.info.elements(), "the output of {} has the tensor's length", self.info.name);
        let Some(heads) = self.permuted_heads else { return dequantize::to_f32(self.info.dtype, self.stored, out) };
        // Row `2 j + s` of a head in the file is row `s * head_dim / 2 + j` of transformers: its rotary embedding pairs element j with
        // j + head_dim / 2, llama.cpp's pairs neighbours. A row is a whole number of blocks, so each row converts alone.
        let rows = self.info.shape[0];
        if rows == 0 || out.is_empty() {
            return;
        }
        let (row_elements, row_bytes) = (out.len() / rows, self.stored.len() / rows);
        if self.info.shape.len() == 1 {
            let mut in_file_order = vec![0.0; rows];
            dequantize::to_f32(self.info.dtype, self.stored, &mut in_file_order);
            for (row, target) in out.iter_mut().enumerate() {
                *target = in_file_order[file_row(row, rows / heads)];
            }
            return;
        }
        for (row, target) in out.chunks_exact_mut(row_elements).enumerate() {
            let from = file_row(row, rows / heads) * row_bytes;
            dequantize::to_f32(self.info.dtype, &self.stored[from..from + row_bytes], target);
        }
    }
}

/// Where the file has the row that transformers numbers `row`.
fn file_row(row: usize, head_dim: usize) -> usize {
    let (head, within) = (row / head_dim, row % head_dim);
    let (half, j) = (within / (head_dim / 2), within % (head_dim / 2));
    head * head_dim + 2 * j + half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_llama_cpp_interleaves_are_put_back() {
        // Two heads of four rows, one column; llama.cpp's converter turned rows 0 1 2 3 of a head into 0 2 1 3.
        let stored: Vec<u8> = [0.0f32, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        for shape in [vec![8, 1], vec![8]] {
            let info = TensorInfo { name: "q".to_owned(), shape, dtype: Dtype::F32 };
            let tensor = RawTensor { info, stored: &stored, permuted_heads: Some(2) };
            assert_eq!(tensor.to_f32(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
            assert!(tensor.bytes().is_none());
        }
    }
}
