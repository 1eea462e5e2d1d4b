//! The gate of the feed-forward layer: `a = silu(g) * u` (Shazeer 2020), with g and u side by side in one row.

use super::simd::{exp, multiversion};
use super::{Element, Matrix, grain};
use temper_c10d::parallel_for;

multiversion! {
    fn forward_row [E: Element] [E] (gate: &[E], up: &[E], out: &mut [E]) {
        for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
            let gate = gate.get();
            *out = E::put(gate / (1.0 + exp(-gate)) * up.get());
        }
    }
}

multiversion! {
    /// With s = sigmoid(g): `dg = da * u * s * (1 + g * (1 - s))`, `du = da * g * s`; and `a` again.
    fn backward_row [E: Element] [E] (gate: &[E], up: &[E], da: &[E], dgate: &mut [E], dup: &mut [E], a: &mut [E]) {
        let inputs = gate.iter().zip(up).zip(da);
        for (((dgate, dup), a), ((&gate, &up), &da)) in dgate.iter_mut().zip(dup).zip(a).zip(inputs) {
            let (gate, up, da) = (gate.get(), up.get(), da.get());
            let sigmoid = 1.0 / (1.0 + exp(-gate));
            let silu = gate * sigmoid;
            *dgate = E::put(da * up * (sigmoid + silu * (1.0 - sigmoid)));
            *dup = E::put(da * silu);
            *a = E::put(silu * up);
        }
    }
}

/// `a_TI = silu(gate) * up` of `gate_up_TC` = `[gate | up]`, C = 2 I.
pub(crate) fn forward<E: Element>(gate_up_TC: &Matrix<E>, a_TI: &Matrix<E>) {
    parallel_for(a_TI.rows, grain(4 * a_TI.columns), |rows| {
        for t in rows {
            // SAFETY: row t is this thread's alone, and the buffers are distinct.
            let (row, out) = unsafe { (gate_up_TC.row(t), a_TI.row_mut(t)) };
            let (gate, up) = row.split_at(out.len());
            forward_row(gate, up, out);
        }
    });
}

/// `dgate_up_TC` from the gradient `da_TI` of the output, and the output `a_TI` itself again.
pub(crate) fn backward<E: Element>(gate_up_TC: &Matrix<E>, da_TI: &Matrix<E>, dgate_up_TC: &Matrix<E>, a_TI: &Matrix<E>) {
    parallel_for(da_TI.rows, grain(8 * da_TI.columns), |rows| {
        for t in rows {
            // SAFETY: row t is this thread's alone, and the buffers are distinct.
            let (row, da, drow, a) = unsafe { (gate_up_TC.row(t), da_TI.row(t), dgate_up_TC.row_mut(t), a_TI.row_mut(t)) };
            let (gate, up) = row.split_at(da.len());
            let (dgate, dup) = drow.split_at_mut(da.len());
            backward_row(gate, up, da, dgate, dup, a);
        }
    });
}
