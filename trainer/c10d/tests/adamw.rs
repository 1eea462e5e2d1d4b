//! The fused AdamW against the paper's formulas in fp64.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use tch::{Device, Kind, Tensor};
use temper_c10d::{Adamw, Error, fused_adamw_};

const NUMBERS: Adamw = Adamw { learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };

/// Algorithm 2 of arXiv:1711.05101 with the decay multiplied by the learning rate, for one scalar.
fn step_of_formula(parameter: &mut f64, first: &mut f64, second: &mut f64, gradient: f64, step: i32) {
    let Adamw { learning_rate, beta1, beta2, epsilon, weight_decay } = NUMBERS;
    *parameter *= 1.0 - learning_rate * weight_decay;
    *first = beta1 * *first + (1.0 - beta1) * gradient;
    *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
    let corrected_first = *first / (1.0 - beta1.powi(step));
    let corrected_second = *second / (1.0 - beta2.powi(step));
    *parameter -= learning_rate * corrected_first / (corrected_second.sqrt() + epsilon);
}

#[test]
fn follows_the_formula_on_a_region_of_a_flat_tensor() {
    let flat = Tensor::linspace(-1.0, 1.0, 1000, (Kind::Float, Device::Cpu));
    let untouched = flat.narrow(0, 0, 100).copy();
    let mut region = flat.narrow(0, 100, 900);
    let mut first = Tensor::zeros([900], (Kind::Float, Device::Cpu));
    let mut second = first.zeros_like();
    let mut expected: Vec<[f64; 3]> = Vec::<f64>::try_from(&region).unwrap().into_iter().map(|value| [value, 0.0, 0.0]).collect();
    for step in 1..=5 {
        let gradients: Vec<f32> = (0..900).map(|index| ((index * step) as f32).sin()).collect();
        fused_adamw_(&NUMBERS, step as u32, &mut region, &Tensor::from_slice(&gradients), &mut first, &mut second).unwrap();
        for ([parameter, first, second], gradient) in expected.iter_mut().zip(gradients) {
            step_of_formula(parameter, first, second, gradient.into(), step);
        }
    }
    for (got, [want, ..]) in Vec::<f64>::try_from(flat.narrow(0, 100, 900)).unwrap().into_iter().zip(expected) {
        assert!((got - want).abs() < 2e-6, "{got} is not {want}");
    }
    assert!(flat.narrow(0, 0, 100).equal(&untouched));
}

#[test]
fn refuses_other_dtypes_shapes_and_step_zero() {
    let zeros = |kind| Tensor::zeros([4], (kind, Device::Cpu));
    let attempt = |step, mut parameter: Tensor, gradient: Tensor| match fused_adamw_(
        &NUMBERS,
        step,
        &mut parameter,
        &gradient,
        &mut zeros(Kind::Float),
        &mut zeros(Kind::Float),
    ) {
        Err(Error::Argument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    assert_eq!(attempt(0, zeros(Kind::Float), zeros(Kind::Float)), "step");
    assert_eq!(attempt(1, zeros(Kind::BFloat16), zeros(Kind::Float)), "parameter");
    assert_eq!(attempt(1, zeros(Kind::Float), zeros(Kind::Float).narrow(0, 0, 3)), "gradient");
}
