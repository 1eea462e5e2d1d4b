//! The feed-forward layer's gate, `a = silu(g) * u` (Shazeer 2020), forward and backward.
//!
//! Shapes: T tokens, I intermediate features; gate and up stand side by side in rows of `2 I`.

use crate::kernels::{self, Bf16, Element, Matrix};
use tch::{Kind, Tensor};

/// `a_TI = silu(gate) * up`.
pub(crate) fn forward(gate_up: &Tensor, a_TI: &Tensor) {
    match gate_up.kind() {
        Kind::Float if kernels::take(gate_up) => kernels::swiglu::forward::<f32>(&Matrix::of(gate_up), &Matrix::of(a_TI)),
        Kind::BFloat16 if kernels::take(gate_up) => kernels::swiglu::forward::<Bf16>(&Matrix::of(gate_up), &Matrix::of(a_TI)),
        _ => forward_aten(gate_up, a_TI),
    }
}

fn halves(gate_up: &Tensor) -> [Tensor; 2] {
    let columns = gate_up.size()[1] / 2;
    [0, columns].map(|start| gate_up.narrow(1, start, columns))
}

fn forward_aten(gate_up: &Tensor, a_TI: &Tensor) {
    let [gate, up] = halves(gate_up).map(|half| half.to_kind(Kind::Float));
    a_TI.shallow_clone().copy_(&(gate.silu() * up));
}

/// The gradient of gate and up from `da_TI`, the output's; and the output `a_TI` again.
pub(crate) fn backward(gate_up: &Tensor, da_TI: &Tensor, dgate_up: &Tensor, a_TI: &Tensor) {
    match gate_up.kind() {
        Kind::Float if kernels::take(gate_up) => backward_kernel::<f32>(gate_up, da_TI, dgate_up, a_TI),
        Kind::BFloat16 if kernels::take(gate_up) => backward_kernel::<Bf16>(gate_up, da_TI, dgate_up, a_TI),
        _ => backward_aten(gate_up, da_TI, dgate_up, a_TI),
    }
}

fn backward_kernel<E: Element>(gate_up: &Tensor, da_TI: &Tensor, dgate_up: &Tensor, a_TI: &Tensor) {
    kernels::swiglu::backward::<E>(&Matrix::of(gate_up), &Matrix::of(da_TI), &Matrix::of(dgate_up), &Matrix::of(a_TI));
}

fn backward_aten(gate_up: &Tensor, da_TI: &Tensor, dgate_up: &Tensor, a_TI: &Tensor) {
    forward_aten(gate_up, a_TI);
    let [gate, up] = halves(gate_up).map(|half| half.to_kind(Kind::Float));
    let [mut dgate, mut dup] = halves(dgate_up);
    let da = da_TI.to_kind(Kind::Float);
    let sigmoid = gate.sigmoid();
    let silu = &gate * &sigmoid;
    dup.copy_(&(&da * &silu));
    let slope = &sigmoid + silu * (1.0 - &sigmoid);
    dgate.copy_(&(da * up * slope));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, random};

    #[test]
    fn the_kernels_equal_aten() {
        for columns in [1, 5, 64, 83] {
            for (kind, tolerance) in [(Kind::Float, 2e-6), (Kind::BFloat16, 1e-2)] {
                let gate_up = (random(&[40, 2 * columns], 1) * 9.0).to_kind(kind);
                let da = random(&[40, columns], 2).to_kind(kind);
                let run = |aten: bool| {
                    let [a, again] = [(); 2].map(|()| da.zeros_like());
                    let dgate_up = gate_up.zeros_like();
                    if aten {
                        forward_aten(&gate_up, &a);
                        backward_aten(&gate_up, &da, &dgate_up, &again);
                    } else {
                        forward(&gate_up, &a);
                        backward(&gate_up, &da, &dgate_up, &again);
                    }
                    close(&again, &a, tolerance);
                    [a, dgate_up]
                };
                for (kernel, aten) in run(false).iter().zip(&run(true)) {
                    close(kernel, aten, tolerance);
                }
            }
        }
    }

    #[test]
    fn the_gradient_is_autograds() {
        let gate_up = random(&[3, 8], 3).set_requires_grad(true);
        let da = random(&[3, 4], 4);
        let [gate, up] = halves(&gate_up);
        (gate.silu() * up * &da).sum(Kind::Float).backward();
        let (dgate_up, a) = (gate_up.zeros_like().set_requires_grad(false), da.zeros_like());
        backward(&gate_up.detach(), &da, &dgate_up, &a);
        close(&dgate_up, &gate_up.grad(), 1e-6);
    }
}
