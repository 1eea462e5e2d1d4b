//! Peak memory of one rank, before anything is allocated.
//!
//! With P the base model's parameters, T the trained ones, b the bytes of an element in the chosen precision, L layers, H hidden size,
//! Q, K and I the sizes of all query heads, all key heads and the feed-forward layer, V the vocabulary and N the tokens of a micro-batch
//! (`perDeviceTrainBatchSize` rows of `maxLength`: without padding it is the most there can be):
//!
//! - weights: `P b` for LoRA (the frozen base; adapters are counted below); in full fine-tuning `P b` of compute weights if b is not 4
//!   bytes, else the fp32 masters serve;
//! - gradients: `4 T`;
//! - optimizer: fp32 master and two moments, `12 T`; in bf16 the trained parameters' compute copies, `2 T`, for LoRA;
//! - activations, kept by the forward pass for the backward pass: per token and layer the residual before either half (`2 H`), query,
//!   key and value (`Q + 2 K`), the attention's output (`Q`), gate and up (`2 I`) and what the adapters reduce their inputs to (r a
//!   module), of b bytes each, and 8 bytes a query head for the attention's log-sum-exp;
//! - scratch, shared by the layers: per token `8 H + 2 (Q + 2 K) + 2 Q + 6 I` numbers of 4 bytes (a processor may multiply bf16 in fp32),
//!   one chunk of logits in fp32, which their gradient overwrites, and in bf16 one matrix widened to fp32. It is counted under
//!   activations.
//!
//! The factors are constants below; the sum gets [`OVERHEAD`] for allocator slack and the process itself gets [`PROCESS`].

use crate::{Error, ModelConfig, match_target_modules, parameters};
use temper_contract::config::{Method, Precision, TrainerConfig};

/// Logits that exist at the same time, in numbers.
pub const LOGITS: u64 = 16 << 20;
/// Bytes of an fp32 master parameter with Adam's two moments.
pub const OPTIMIZER_BYTES: u64 = 12;
/// Bytes of an fp32 gradient.
pub const GRADIENT_BYTES: u64 = 4;
/// Kept activations of the hidden size, a layer.
pub const KEPT_HIDDEN: u64 = 2;
/// Kept activations of the feed-forward size, a layer.
pub const KEPT_INTERMEDIATE: u64 = 2;
/// Scratch of the hidden size.
pub const SCRATCH_HIDDEN: u64 = 8;
/// Scratch of queries, keys and values together.
pub const SCRATCH_QKV: u64 = 2;
/// Scratch of all query heads' size.
pub const SCRATCH_QUERY: u64 = 2;
/// Scratch of the feed-forward size.
pub const SCRATCH_INTERMEDIATE: u64 = 6;
/// Fragmentation and temporaries, in percent of everything else.
pub const OVERHEAD: u64 = 5;
/// Program, libtorch and thread stacks.
pub const PROCESS: u64 = 400 << 20;

/// Bytes by purpose; `total` has overhead and process on top of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights that matrices are multiplied with.
    pub weights: u64,
    /// Gradients of the trained parameters.
    pub gradients: u64,
    /// Masters and moments.
    pub optimizer: u64,
    /// What one micro-batch needs.
    pub activations: u64,
    /// The peak.
    pub total: u64,
}

/// The estimate for one rank of the job.
pub fn estimate(config: &ModelConfig, job: &TrainerConfig) -> Result<MemoryEstimate, Error> {
    let element: u64 = match job.hyperparameters.precision {
        Precision::Fp32 => 4,
        Precision::Bf16 => 2,
    };
    let base = parameters::base(config);
    let trained = parameters::count(config, &job.method)?.trainable;
    let (weights, adapter_width) = match &job.method {
        Method::Full => (if element == 4 { 0 } else { base * element }, 0),
        Method::Lora(lora) => {
            let modules = match_target_modules(config, &lora.target_modules)?;
            let copies = if element == 4 { 0 } else { trained.saturating_mul(element) };
            ((base * element).saturating_add(copies), (modules.len() as u64).saturating_mul(lora.r as u64))
        }
    };
    let [hidden, query, key_value, intermediate, heads, layers, vocabulary] = [
        config.hidden_size,
        config.query_size(),
        config.key_value_size(),
        config.intermediate_size,
        config.num_attention_heads,
        config.num_hidden_layers,
        config.vocab_size,
    ]
    .map(|size| size as u64);
    let tokens = (job.hyperparameters.per_device_train_batch_size as u64).saturating_mul(job.dataset.max_length as u64);
    let qkv = query + 2 * key_value;
    let kept = element * (KEPT_HIDDEN * hidden + qkv + query + KEPT_INTERMEDIATE * intermediate) + 8 * heads;
    let scratch = 4 * (SCRATCH_HIDDEN * hidden + SCRATCH_QKV * qkv + SCRATCH_QUERY * query + SCRATCH_INTERMEDIATE * intermediate);
    let per_token = (layers * kept + scratch).saturating_add(adapter_width.saturating_mul(element));
    let logits = 4 * LOGITS.min(tokens.saturating_mul(vocabulary));
    let widened = if element == 4 { 0 } else { 4 * hidden * (2 * intermediate).max(qkv) };
    let activations = tokens.saturating_mul(per_token).saturating_add(logits + widened);
    let (gradients, optimizer) = (trained.saturating_mul(GRADIENT_BYTES), trained.saturating_mul(OPTIMIZER_BYTES));
    let parts = weights.saturating_add(gradients).saturating_add(optimizer).saturating_add(activations);
    let total = parts.saturating_add(parts / 100 * OVERHEAD).saturating_add(PROCESS);
    Ok(MemoryEstimate { weights, gradients, optimizer, activations, total })
}
