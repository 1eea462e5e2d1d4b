//! Linear layers that read the same input, as one matrix product, with their adapters folded into it.
//!
//! Shapes: T tokens, I input features, O output features of all parts together, R ranks of all adapters together, r of one.
//!
//! With adapters the matrix is extended, `M = [[W, s·B], [A, ·]]` of `[O + R, I + R]`, where B has its parts' blocks on the diagonal. Then
//! `y = [x | x Aᵀ] · [W | s·B]ᵀ` is one product forward and `dx = [dy | dy·s·B] · [W; A]` one back: the adapters cost no pass over the
//! activations of their own, and their share is added in the product's own accumulator.

use crate::lora::Dropout;
use crate::workspace::Workspace;
use std::ops::Range;
use tch::{Kind, Tensor};

/// One linear module of a projection.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its rows of the matrix.
    pub(crate) rows: Range<i64>,
    /// Its adapter, if it has one.
    pub(crate) adapter: Option<Adapter>,
}

/// A module's adapter.
#[derive(Debug)]
pub(crate) struct Adapter {
    /// Its ranks, among all of the projection's.
    pub(crate) ranks: Range<i64>,
    /// `[r, I]` and `[O_part, r]` fp32 views of the flat values.
    pub(crate) a: Tensor,
    pub(crate) b: Tensor,
    /// `[O_part, r]` view of the flat gradient.
    pub(crate) b_gradient: Tensor,
    /// Names the module to dropout.
    pub(crate) module: u64,
}

/// The matrix and the type it rests in.
#[derive(Debug)]
pub(crate) enum Weight {
    /// `[O + R, I + R]` in the type that matrices are multiplied in.
    Ready(Tensor),
    /// `[O, I]` bf16, widened to fp32 and extended where it is used.
    Widened(Tensor),
}

/// Where gradients of the base weights go, when they are trained.
#[derive(Debug)]
pub(crate) struct BaseGradient {
    /// `[O, I]` fp32.
    pub(crate) weight: Tensor,
    /// `[O]` fp32.
    pub(crate) bias: Option<Tensor>,
}

/// Linear modules side by side.
#[derive(Debug)]
pub(crate) struct Projection {
    pub(crate) in_features: usize,
    pub(crate) out_features: usize,
    pub(crate) parts: Vec<Part>,
    pub(crate) weight: Weight,
    /// `[O]` in the type that matrices are multiplied in.
    pub(crate) bias: Option<Tensor>,
    /// Factor of `B A x`.
    pub(crate) scaling: f64,
    /// `[R, I]` view of the flat gradient: the adapters' A matrices lie side by side.
    pub(crate) a_gradient: Option<Tensor>,
    pub(crate) gradient: Option<BaseGradient>,
}

impl Projection {
    fn adapters(&self) -> impl Iterator<Item = (&Part, &Adapter)> {
        self.parts.iter().filter_map(|part| part.adapter.as_ref().map(|adapter| (part, adapter)))
    }

    /// Ranks of all adapters together, R.
    pub(crate) fn ranks(&self) -> usize {
        self.adapters().map(|(_, adapter)| adapter.ranks.end as usize).max().unwrap_or(0)
    }

    /// Columns of the buffer that holds the input and, behind it, `x Aᵀ`.
    pub(crate) fn extended_in(&self) -> usize {
        self.in_features + self.ranks()
    }

    /// Columns of the buffer that holds the output's gradient and, behind it, `dy·s·B`.
    pub(crate) fn extended_out(&self) -> usize {
        self.out_features + self.ranks()
    }

    /// Copies the adapters' values into the extended matrix, where it is kept.
    pub(crate) fn sync(&self) {
        if let Weight::Ready(matrix) = &self.weight
            && self.ranks() > 0
        {
            self.write_adapters(matrix);
        }
    }

    fn write_adapters(&self, matrix: &Tensor) {
        let (rows, columns) = (self.out_features as i64, self.in_features as i64);
        for (part, adapter) in self.adapters() {
            let ranks = &adapter.ranks;
            let count = ranks.end - ranks.start;
            matrix.narrow(0, rows + ranks.start, count).narrow(1, 0, columns).copy_(&adapter.a);
            let b = matrix.narrow(0, part.rows.start, part.rows.end - part.rows.start).narrow(1, columns + ranks.start, count);
            b.shallow_clone().copy_(&(&adapter.b * self.scaling));
        }
    }

    /// `[O + R, I + R]` in the type that matrices are multiplied in.
    fn matrix(&self, workspace: &mut Workspace) -> Tensor {
        match &self.weight {
            Weight::Ready(matrix) => matrix.shallow_clone(),
            Weight::Widened(weight) => {
                let ranks = self.ranks();
                let matrix = workspace.scratch("widened", self.extended_out(), self.extended_in());
                let (rows, columns) = (self.out_features as i64, self.in_features as i64);
                matrix.narrow(0, 0, rows).narrow(1, 0, columns).copy_(weight);
                if ranks > 0 {
                    let _ = matrix.narrow(0, 0, rows).narrow(1, columns, ranks as i64).zero_();
                    self.write_adapters(&matrix);
                }
                matrix
            }
        }
    }

    /// `y_TO` from the first I columns of `x` `[T, I + R]`, whose other columns are filled on the way.
    pub(crate) fn forward(&self, x: &Tensor, y_TO: &Tensor, dropout: Option<&Dropout>, workspace: &mut Workspace) {
        let (rows, columns, ranks) = (self.out_features as i64, self.in_features as i64, self.ranks() as i64);
        let matrix = self.matrix(workspace);
        if ranks > 0 {
            let x_TI = x.narrow(1, 0, columns);
            let a_RI = matrix.narrow(0, rows, ranks).narrow(1, 0, columns);
            let u_TR = x.narrow(1, columns, ranks);
            match dropout {
                None => multiply(&u_TR, &x_TI, &a_RI.tr()),
                Some(dropout) => {
                    let dropped = workspace.scratch("dropped", x.size()[0] as usize, self.in_features);
                    for (_, adapter) in self.adapters() {
                        dropout.apply(adapter.module, &x_TI, &dropped, false);
                        multiply(&at(&u_TR, 1, &adapter.ranks), &dropped, &at(&a_RI, 0, &adapter.ranks).tr());
                    }
                }
            }
        }
        let extended = matrix.narrow(0, 0, rows).tr();
        match &self.bias {
            None => multiply(y_TO, x, &extended),
            Some(bias) => drop(bias.addmm_out(y_TO, x, &extended)),
        }
    }

    /// From the output's gradient, the first O columns of `dy` `[T, O + R]`, fills the other columns and computes the input's gradient, `dx_TI`, where it is
    /// wanted.
    pub(crate) fn input_gradient(&self, dy: &Tensor, dx_TI: Option<&Tensor>, dropout: Option<&Dropout>, workspace: &mut Workspace) {
        let (rows, columns, ranks) = (self.out_features as i64, self.in_features as i64, self.ranks() as i64);
        let matrix = self.matrix(workspace);
        for (part, adapter) in self.adapters() {
            let scaled_b = at(&matrix.narrow(1, columns, ranks), 1, &adapter.ranks);
            multiply(&at(&dy.narrow(1, rows, ranks), 1, &adapter.ranks), &at(dy, 1, &part.rows), &at(&scaled_b, 0, &part.rows));
        }
        let Some(dx_TI) = dx_TI else { return };
        let Some(dropout) = dropout.filter(|_| ranks > 0) else {
            return multiply(dx_TI, dy, &matrix.narrow(1, 0, columns));
        };
        multiply(dx_TI, &dy.narrow(1, 0, rows), &matrix.narrow(0, 0, rows).narrow(1, 0, columns));
        let through = workspace.scratch("dropped", dy.size()[0] as usize, self.in_features);
        for (_, adapter) in self.adapters() {
            let a_rI = at(&matrix.narrow(0, rows, ranks).narrow(1, 0, columns), 0, &adapter.ranks);
            multiply(&through, &at(&dy.narrow(1, rows, ranks), 1, &adapter.ranks), &a_rI);
            dropout.apply(adapter.module, &through, dx_TI, true);
        }
    }

    /// Adds to the gradients of what is trained here, from `dy` as `input_gradient` left it, the input `x_TI` and `u_TR`, the columns that `forward` filled.
    pub(crate) fn parameter_gradient(
        &self,
        dy: &Tensor,
        x_TI: &Tensor,
        u_TR: Option<&Tensor>,
        dropout: Option<&Dropout>,
        workspace: &mut Workspace,
    ) {
        let rows = self.out_features as i64;
        if let Some(gradient) = &self.gradient {
            let dy_TO = dy.narrow(1, 0, rows);
            add_product(&gradient.weight, &dy_TO.tr(), x_TI);
            if let Some(bias) = &gradient.bias {
                let _ = bias.shallow_clone().g_add_(&dy_TO.sum_dim_intlist(0i64, false, Kind::Float));
            }
        }
        let (Some(u_TR), Some(a_gradient)) = (u_TR, &self.a_gradient) else { return };
        let v_TR = dy.narrow(1, rows, self.ranks() as i64);
        let scaled_u = u_TR * self.scaling;
        for (part, adapter) in self.adapters() {
            add_product(&adapter.b_gradient, &at(dy, 1, &part.rows).tr(), &at(&scaled_u, 1, &adapter.ranks));
        }
        let Some(dropout) = dropout else { return add_product(a_gradient, &v_TR.tr(), x_TI) };
        let dropped = workspace.scratch("dropped", dy.size()[0] as usize, self.in_features);
        for (_, adapter) in self.adapters() {
            dropout.apply(adapter.module, x_TI, &dropped, false);
            add_product(&at(a_gradient, 0, &adapter.ranks), &at(&v_TR, 1, &adapter.ranks).tr(), &dropped);
        }
    }
}

/// A range of one dimension.
fn at(tensor: &Tensor, dimension: i64, range: &Range<i64>) -> Tensor {
    tensor.narrow(dimension, range.start, range.end - range.start)
}

/// `out = a b`, into memory that exists.
pub(crate) fn multiply(out: &Tensor, a: &Tensor, b: &Tensor) {
    let _ = a.mm_out(out, b);
}

/// `sum += a b` in fp32, whatever the factors' type.
pub(crate) fn add_product(sum: &Tensor, a: &Tensor, b: &Tensor) {
    let mut sum = sum.shallow_clone();
    if a.kind() == Kind::Float {
        let _ = sum.addmm_(a, b);
    } else {
        let _ = sum.g_add_(&a.mm(b));
    }
}
