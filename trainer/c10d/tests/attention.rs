//! The CPU attention kernels against attention written out in fp64 with autograd.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use tch::{Kind, Tensor};
use temper_c10d::{Error, flash_attention_cpu, flash_attention_cpu_backward};

/// `[B, H, T, D]` as a strided view of contiguous `[B, T, H, D]`, the layout that a projection leaves.
fn random_heads(batch: i64, heads: i64, positions: i64, width: i64) -> Tensor {
    Tensor::randn([batch, positions, heads, width], (Kind::Float, tch::Device::Cpu)).transpose(1, 2)
}

/// softmax(scale * q @ kᵀ + mask) @ v with every head of k and v repeated for its group.
fn written_out(query: &Tensor, key: &Tensor, value: &Tensor, is_causal: bool, mask: Option<&Tensor>, scale: f64) -> Tensor {
    let group = query.size()[1] / key.size()[1];
    let key = key.repeat_interleave_self_int(group, 1, None);
    let value = value.repeat_interleave_self_int(group, 1, None);
    let mut scores = query.matmul(&key.transpose(2, 3)) * scale;
    if is_causal {
        let visible = Tensor::ones([query.size()[2], key.size()[2]], (Kind::Bool, tch::Device::Cpu)).tril(0);
        scores = scores.masked_fill(&visible.logical_not(), f64::NEG_INFINITY);
    }
    if let Some(mask) = mask {
        scores += mask.to_kind(Kind::Double);
    }
    scores.softmax(-1, Kind::Double).matmul(&value)
}

fn largest_difference(left: &Tensor, right: &Tensor) -> f64 {
    (left.to_kind(Kind::Double) - right.to_kind(Kind::Double)).abs().max().double_value(&[])
}

fn compare(heads: i64, kv_heads: i64, positions: i64, width: i64, is_causal: bool, with_mask: bool) {
    let query = random_heads(2, heads, positions, width);
    let key = random_heads(2, kv_heads, positions, width);
    let value = random_heads(2, kv_heads, positions, width);
    let grad_out = random_heads(2, heads, positions, width);
    let mask = with_mask.then(|| Tensor::randn([positions, positions], (Kind::Float, tch::Device::Cpu)));
    let scale = 1.0 / (width as f64).sqrt();

    let [query_64, key_64, value_64] = [&query, &key, &value].map(|tensor| tensor.to_kind(Kind::Double).detach().set_requires_grad(true));
    let expected = written_out(&query_64, &key_64, &value_64, is_causal, mask.as_ref(), scale);
    (&expected * grad_out.to_kind(Kind::Double)).sum(Kind::Double).backward();

    let forward = flash_attention_cpu(&query, &key, &value, is_causal, mask.as_ref(), scale).unwrap();
    assert!(largest_difference(&forward.out, &expected) < 1e-5);
    assert!(forward.out.transpose(1, 2).is_contiguous(), "the doc promises a view of [B, T, H, D]");
    let backward = || flash_attention_cpu_backward(&grad_out, &query, &key, &value, &forward, is_causal, mask.as_ref(), scale).unwrap();
    let (grad_query, grad_key, grad_value) = backward();
    for (name, gradient, leaf) in [("query", &grad_query, &query_64), ("key", &grad_key, &key_64), ("value", &grad_value, &value_64)] {
        assert_eq!(gradient.size(), leaf.size());
        let difference = largest_difference(gradient, &leaf.grad());
        assert!(difference < 5e-5, "gradient of the {name}: {difference}, {heads}/{kv_heads} heads, causal {is_causal}");
    }
    let again = backward();
    assert!(grad_query.equal(&again.0) && grad_key.equal(&again.1) && grad_value.equal(&again.2), "not bit-equal when repeated");
}

#[test]
fn equals_attention_written_out() {
    compare(4, 4, 37, 16, true, false);
    compare(4, 4, 37, 16, false, false);
    compare(4, 4, 600, 16, true, false);
}

#[test]
fn grouped_heads_need_no_expansion() {
    compare(9, 3, 65, 64, true, false);
    compare(8, 1, 33, 32, false, false);
}

#[test]
fn an_additive_mask_is_added() {
    compare(6, 2, 40, 16, false, true);
}

#[test]
fn what_the_kernel_would_misread_is_refused() {
    let argument = |outcome: Result<_, Error>| match outcome.map(|_: temper_c10d::AttentionOutput| ()) {
        Err(Error::Argument { argument, .. }) => argument,
        other => panic!("{other:?}"),
    };
    let query = random_heads(1, 6, 8, 16);
    let three = random_heads(1, 3, 8, 16);
    let attend = |query: &Tensor, key: &Tensor, value: &Tensor| argument(flash_attention_cpu(query, key, value, true, None, 1.0));
    assert_eq!(attend(&query, &random_heads(1, 4, 8, 16), &random_heads(1, 4, 8, 16)), "key");
    assert_eq!(attend(&query, &random_heads(1, 3, 8, 8), &three), "key");
    assert_eq!(attend(&query, &three, &random_heads(1, 3, 9, 16)), "value");
    assert_eq!(attend(&query.transpose(2, 3).contiguous().transpose(2, 3), &three, &three), "query");
    assert_eq!(attend(&query, &three.to_kind(Kind::BFloat16), &three), "key");
    assert_eq!(attend(&query.squeeze(), &three, &three), "query");
    let mask = Tensor::zeros([8, 8], (Kind::Float, tch::Device::Cpu));
    assert_eq!(argument(flash_attention_cpu(&query, &three, &three, true, Some(&mask), 1.0)), "mask");
}

#[test]
fn errors_of_libtorch_come_back_in_one_line() {
    let query = random_heads(1, 2, 8, 16);
    let mask = Tensor::zeros([7, 5], (Kind::Float, tch::Device::Cpu));
    let error = flash_attention_cpu(&query, &query, &query, false, Some(&mask), 1.0).unwrap_err();
    assert!(matches!(&error, Error::Libtorch { .. }), "{error:?}");
    assert!(!error.to_string().contains('\n'), "{error}");
}
