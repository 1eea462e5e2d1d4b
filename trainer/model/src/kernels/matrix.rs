//! A tensor's memory as rows.

use super::Element;
use std::marker::PhantomData;
use std::ops::Range;
use tch::{Device, Tensor};

/// The rows of a two-dimensional CPU tensor whose columns are contiguous. Rows may be farther apart than they are long.
pub(crate) struct Matrix<'a, E> {
    start: *mut E,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    stride: usize,
    tensor: PhantomData<&'a Tensor>,
}

// SAFETY: threads reach the memory only through `row` and `row_mut`, whose callers answer for disjointness.
unsafe impl<E: Element> Sync for Matrix<'_, E> {}

impl<'a, E: Element> Matrix<'a, E> {
    /// The tensor's rows; a vector is one row.
    ///
    /// # Panics
    /// If the tensor is not on the CPU, of another number type, or its columns are not contiguous: a mistake in this crate.
    pub(crate) fn of(tensor: &'a Tensor) -> Self {
        assert!(tensor.device() == Device::Cpu && tensor.kind() == E::KIND, "{tensor:?} has another device or type than its kernel");
        let (size, strides) = (tensor.size(), tensor.stride());
        let (rows, columns, stride, inner) = match (size.as_slice(), strides.as_slice()) {
            ([columns], [inner]) => (1, *columns, *columns, *inner),
            ([rows, columns], [stride, inner]) => (*rows, *columns, *stride, *inner),
            _ => panic!("{tensor:?} is not a matrix"),
        };
        assert!(inner == 1 || columns <= 1, "{tensor:?} has columns that are not contiguous");
        Self {
            start: tensor.data_ptr().cast(),
            rows: rows as usize,
            columns: columns as usize,
            stride: stride as usize,
            tensor: PhantomData,
        }
    }

    /// A row to read.
    ///
    /// # Safety
    /// Nobody may write the row while the slice lives.
    #[inline(always)]
    pub(crate) unsafe fn row(&self, index: usize) -> &[E] {
        assert!(index < self.rows);
        // SAFETY: `of` took the extents from the tensor, which outlives `self`; the row is inside, and the caller answers for aliasing.
        unsafe { std::slice::from_raw_parts(self.start.add(index * self.stride), self.columns) }
    }

    /// A row to write.
    ///
    /// # Safety
    /// Nobody else may read or write the row while the slice lives.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // threads share the matrix and take different rows
    pub(crate) unsafe fn row_mut(&self, index: usize) -> &mut [E] {
        assert!(index < self.rows);
        // SAFETY: as in `row`.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(index * self.stride), self.columns) }
    }

    /// Some columns of a row to write, where threads share rows.
    ///
    /// # Safety
    /// Nobody else may read or write these columns of the row while the slice lives.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // as `row_mut`
    pub(crate) unsafe fn part_mut(&self, index: usize, columns: Range<usize>) -> &mut [E] {
        assert!(index < self.rows && columns.start <= columns.end && columns.end <= self.columns);
        // SAFETY: as in `row`; the columns are inside the row.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(index * self.stride + columns.start), columns.len()) }
    }
}
