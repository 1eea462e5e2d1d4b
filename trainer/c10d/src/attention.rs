//! libtorch's CPU flash attention, forward and backward, without autograd.
//!
//! FlashAttention-2 (Dao, 2023, arXiv:2307.08691): attention in tiles that never hold the `[T, S]` scores, and a backward that
//! recomputes them from the saved log-sum-exp.
//!
//! Shapes: B batch, H query heads, G key-value heads (H a multiple of G), T query positions, S key positions, D head width.
//! Grouped-query attention needs no copy: query head h reads key-value head `h / (H / G)`, and the gradients of key and value
//! come back already summed, with G heads. The backward spreads its work over `B * G`, the forward over `B * H` and blocks of T.

use crate::bridge::ffi;
use crate::error::Error;
use crate::tensor::{adopt, lend, lend_optional};
use tch::{Kind, Tensor};

/// What the forward returns and the backward needs again.
#[derive(Debug)]
pub struct AttentionOutput {
    /// `[B, H, T, D]`, in the query's dtype: a transposed view of contiguous `[B, T, H, D]`, so that
    /// `out.transpose(1, 2).reshape([B, T, H * D])` copies nothing.
    pub out: Tensor,
    /// `[B, H, T]`, fp32 for half precision: log of the sum of the scaled scores' exponentials, natural base.
    pub logsumexp: Tensor,
}

const FORWARD: &str = "flash_attention_cpu";
const BACKWARD: &str = "flash_attention_cpu_backward";

/// `softmax(scale * query @ keyᵀ + mask) @ value`.
///
/// `query` is `[B, H, T, D]`, `key` and `value` are `[B, G, S, D]`, all on the CPU and of one dtype: fp32, fp64, bf16 or fp16.
/// Strided views are read in place as long as D is innermost with stride 1, as in `[B, T, heads * D]` seen as
/// `[B, heads, T, D]`.
/// With `is_causal`, position t sees keys 0 to t. `mask`, if given, is `[T, S]` or broadcasts to `[B, H, T, S]`: booleans
/// (true = visible) or numbers of the query's dtype to add; it excludes `is_causal`. `scale` is usually `1 / sqrt(D)`.
pub fn flash_attention_cpu(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    is_causal: bool,
    mask: Option<&Tensor>,
    scale: f64,
) -> Result<AttentionOutput, Error> {
    check_inputs(FORWARD, query, key, value, is_causal, mask)?;
    // SAFETY: `mask` is null or comes from a tensor borrowed for the whole call.
    let output = unsafe { ffi::flash_attention_cpu(lend(query), lend(key), lend(value), is_causal, lend_optional(mask), scale) };
    let output = output.map_err(|exception| Error::from_local_exception(FORWARD, &exception))?;
    Ok(AttentionOutput { out: adopt(output.out), logsumexp: adopt(output.logsumexp) })
}

/// Gradients of `query` `[B, H, T, D]`, `key` and `value` `[B, G, S, D]`, given the gradient of the forward's `out`.
///
/// The other arguments are the forward's own, with what it returned. Gradients come back as transposed views of contiguous
/// `[B, T, heads, D]`. The sums run in a fixed order: equal inputs and threads give equal bits.
#[allow(clippy::too_many_arguments)] // the kernel's own signature
pub fn flash_attention_cpu_backward(
    grad_out: &Tensor,
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    forward: &AttentionOutput,
    is_causal: bool,
    mask: Option<&Tensor>,
    scale: f64,
) -> Result<(Tensor, Tensor, Tensor), Error> {
    check_inputs(BACKWARD, query, key, value, is_causal, mask)?;
    let shape = query.size();
    check(BACKWARD, "grad_out", grad_out.size() == shape, || format!("{:?} is not the query's {shape:?}", grad_out.size()))?;
    check(BACKWARD, "grad_out", grad_out.kind() == query.kind(), || {
        format!("{:?} is not the query's {:?}", grad_out.kind(), query.kind())
    })?;
    check(BACKWARD, "forward.out", forward.out.size() == shape, || format!("{:?} is not the query's {shape:?}", forward.out.size()))?;
    check(BACKWARD, "forward.logsumexp", forward.logsumexp.size() == shape[..3], || {
        format!("{:?} is not {:?}", forward.logsumexp.size(), &shape[..3])
    })?;
    // SAFETY: `mask` is null or comes from a tensor borrowed for the whole call.
    let gradients = unsafe {
        ffi::flash_attention_cpu_backward(
            lend(grad_out),
            lend(query),
            lend(key),
            lend(value),
            lend(&forward.out),
            lend(&forward.logsumexp),
            is_causal,
            lend_optional(mask),
            scale,
        )
    };
    let gradients = gradients.map_err(|exception| Error::from_local_exception(BACKWARD, &exception))?;
    Ok((adopt(gradients.query), adopt(gradients.key), adopt(gradients.value)))
}

/// The kernel trusts its caller: a wrong head count or inner stride would read the wrong memory, so all is checked here.
fn check_inputs(
    what: &'static str,
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    is_causal: bool,
    mask: Option<&Tensor>,
) -> Result<(), Error> {
    for (name, tensor) in [("query", query), ("key", key), ("value", value)] {
        check(what, name, tensor.dim() == 4, || format!("{:?} does not have the 4 dimensions [B, heads, T, D]", tensor.size()))?;
        check(what, name, tensor.device() == tch::Device::Cpu, || format!("it is on {:?}, not on the CPU", tensor.device()))?;
        let kind = tensor.kind();
        let floating = matches!(kind, Kind::Float | Kind::Double | Kind::BFloat16 | Kind::Half);
        check(what, name, floating && kind == query.kind(), || format!("{kind:?} is not the query's floating-point dtype"))?;
        check(what, name, tensor.stride()[3] == 1 || tensor.size()[3] <= 1, || {
            format!("strides {:?} do not end in 1; call .contiguous()", tensor.stride())
        })?;
    }
    let (query, key, value) = (query.size(), key.size(), value.size());
    check(what, "query", query.iter().all(|&extent| extent > 0), || format!("{query:?} is empty"))?;
    check(what, "key", key[0] == query[0] && key[3] == query[3] && key[2] > 0, || format!("{key:?} does not fit the query's {query:?}"))?;
    check(what, "key", key[1] > 0 && query[1] % key[1] == 0, || format!("{} heads do not divide the query's {}", key[1], query[1]))?;
    check(what, "value", value == key, || format!("{value:?} is not the key's {key:?}"))?;
    check(what, "mask", !(is_causal && mask.is_some()), || "is_causal is set too".into())
}

fn check(what: &'static str, argument: &'static str, holds: bool, reason: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Argument { what, argument, reason: reason() }) }
}
