//! Peak memory of one rank, before anything is allocated.
//!
//! Shapes: T tokens of a micro-batch (`perDeviceTrainBatchSize` rows of `maxLength`: without padding it is the most there can be, and as
//! many of them may be targets), L layers, H hidden size, Q, K and I the sizes of all query heads, all key heads and the feed-forward
//! layer, C = Q + 2 K, V vocabulary, P parameters, of which S are trained, R the adapters' ranks of a projection. A number that rests takes
//! s bytes (fp32 4, bf16 2), one that is worked with w (4 where bf16 is widened to fp32 for each product, else s).
//!
//! The peak is the higher one of two moments, each on top of what the process itself takes ([`PROCESS`]).
//!
//! **Training**, the sum of
//!
//! - weights: the frozen base. A projection's matrix is extended by its adapters, `(O + R) (I + R) s`; where bf16 is widened it is not,
//!   `O I s`, and the largest one exists a second time in fp32. The embedding takes `V H s`, or `V H w` where the output projection is the
//!   same matrix; one of its own takes `V H w`. In full fine-tuning there is no base: the trained values serve, with copies of s bytes where
//!   w is 2;
//! - gradients: `4 S`;
//! - optimizer: the fp32 values themselves and AdamW's two moments, `12 S`;
//! - activations that the forward pass keeps for the backward pass, each layer its own: the residual before either half (`2 H`), query, key and
//!   value (`C`), the attention's output (`Q`), gate and up (`2 I`) and what the adapters reduce their inputs to (R), of s bytes a token each,
//!   and 4 bytes a query head for the attention's log-sum-exp;
//! - scratch that all layers share, of w bytes a token each: [`SCRATCH_HIDDEN`] `H` + [`SCRATCH_INTERMEDIATE`] `I` + [`SCRATCH_QUERY`] `Q` +
//!   [`SCRATCH_QKV`] `C`, the ranks' columns beside them, C more where query and key heads are normalised, the widest input once more for
//!   dropout, a kept activation of each kind once more where bf16 is widened or where evaluation keeps none of a layer's own;
//! - logits: [`LOGITS`] at a time, of w bytes, which their gradient overwrites;
//! - exchange: where there are several ranks, the largest bucket of gradients once more;
//! - on a GPU, four fp32 `[heads, maxLength, maxLength]` matrices of attention.
//!
//! **Loading**: weights as above, the trained values and gradients (`8 S`), the model's file, which is mapped and has been read to its end,
//! and the last and largest tensor in fp32, [`LOADING`] times, of which one is among the weights.
//!
//! [`OVERHEAD`] is the allocator's share. The numbers were measured on CPUs (`tests/tests/memory.rs` holds them to 15%); a GPU's were not.

use crate::{Error, LinearModule, ModelConfig, match_target_modules, parameters};
use temper_contract::config::{Device, Method, Precision, TrainerConfig};

/// Logits that exist at the same time, in numbers.
pub const LOGITS: u64 = 16 << 20;
/// Bytes of an fp32 value with Adam's two moments.
pub const OPTIMIZER_BYTES: u64 = 12;
/// Bytes of an fp32 gradient.
pub const GRADIENT_BYTES: u64 = 4;
/// Scratch of the hidden size: normalised inputs (2), outputs, residuals of targets (5), gradients (3).
pub const SCRATCH_HIDDEN: u64 = 11;
/// Scratch of the feed-forward size: the activation, its gradient, those of gate and up.
pub const SCRATCH_INTERMEDIATE: u64 = 4;
/// Scratch of all query heads' size: gradients of the attention's output, at the targets and at all tokens; its output at the targets.
pub const SCRATCH_QUERY: u64 = 3;
/// Scratch of queries, keys and values together: their gradient.
pub const SCRATCH_QKV: u64 = 1;
/// fp32 copies of a tensor while it is loaded.
pub const LOADING: u64 = 3;
/// The largest bucket of gradients that is exchanged at a time, in bytes.
pub const BUCKET: u64 = 25 << 20;
/// What the allocator takes on top, in percent.
pub const OVERHEAD: u64 = 2;
/// Program, libtorch, its buffers and threads' stacks.
pub const PROCESS: u64 = 165 << 20;

/// How bf16 matrices are multiplied. fp32 ones need no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bf16 {
    /// As they are: GPUs, and processors with fast instructions for it.
    Direct,
    /// In fp32, to which they are widened where they are used.
    Widened,
}

/// Bytes by purpose; `total` is the higher peak, with overhead and process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights that matrices are multiplied with, beside the trained ones.
    pub weights: u64,
    /// Gradients of the trained parameters.
    pub gradients: u64,
    /// Trained values and their moments.
    pub optimizer: u64,
    /// What one micro-batch needs.
    pub activations: u64,
    /// What is needed while the model is loaded, instead of moments and activations.
    pub loading: u64,
    /// The peak.
    pub total: u64,
}

/// The estimate for one rank of the job. `stored_bytes` is the size of the model's tensors in its files.
pub fn estimate(shape: &ModelConfig, stored_bytes: u64, job: &TrainerConfig, bf16: Bf16) -> Result<MemoryEstimate, Error> {
    let ranks = Ranks::of(shape, &job.method)?;
    let kinds = Kinds::of(job.hyperparameters.precision, bf16);
    let sizes = Sizes::of(shape);
    let trained = parameters::count(shape, &job.method)?.trainable;
    let weights = match job.method {
        Method::Lora(_) => frozen(shape, &sizes, &ranks, kinds),
        Method::Full if kinds.work == 4 => 0,
        Method::Full => parameters::base(shape).saturating_mul(kinds.stored),
    };
    let activations = activations(shape, &sizes, &ranks, kinds, job);
    let gradients = trained.saturating_mul(GRADIENT_BYTES);
    let optimizer = trained.saturating_mul(OPTIMIZER_BYTES);
    let exchange = if job.parallelism.world_size() > 1 { gradients.min(BUCKET) } else { 0 };
    let training = [weights, gradients, optimizer, activations, exchange].into_iter().fold(0, u64::saturating_add);
    let copies = (LOADING - 1) * 4 * sizes.vocabulary * sizes.hidden;
    let loading = stored_bytes.saturating_add(gradients.saturating_mul(2)).saturating_add(copies);
    let parts = training.max(weights.saturating_add(loading));
    let total = parts.saturating_add(parts / 100 * OVERHEAD).saturating_add(PROCESS);
    Ok(MemoryEstimate { weights, gradients, optimizer, activations, loading, total })
}

/// Bytes of a number that rests and of one that is worked with.
#[derive(Clone, Copy)]
struct Kinds {
    stored: u64,
    work: u64,
}

impl Kinds {
    fn of(precision: Precision, bf16: Bf16) -> Self {
        match (precision, bf16) {
            (Precision::Fp32, _) => Self { stored: 4, work: 4 },
            (Precision::Bf16, Bf16::Direct) => Self { stored: 2, work: 2 },
            (Precision::Bf16, Bf16::Widened) => Self { stored: 2, work: 4 },
        }
    }

    fn widens(self) -> bool {
        self.work != self.stored
    }
}

struct Sizes {
    hidden: u64,
    query: u64,
    qkv: u64,
    intermediate: u64,
    heads: u64,
    layers: u64,
    vocabulary: u64,
}

impl Sizes {
    fn of(shape: &ModelConfig) -> Self {
        let [hidden, query, key_value, intermediate, heads, layers, vocabulary] = [
            shape.hidden_size,
            shape.query_size(),
            shape.key_value_size(),
            shape.intermediate_size,
            shape.num_attention_heads,
            shape.num_hidden_layers,
            shape.vocab_size,
        ]
        .map(|size| size as u64);
        Self { hidden, query, qkv: query + 2 * key_value, intermediate, heads, layers, vocabulary }
    }

    /// `[O, I]` of a layer's projections: query, key and value together, output, gate and up together, down.
    fn projections(&self) -> [[u64; 2]; 4] {
        let Self { hidden, query, qkv, intermediate, .. } = *self;
        [[qkv, hidden], [hidden, query], [2 * intermediate, hidden], [hidden, intermediate]]
    }
}

/// The adapters' ranks in each layer's projections, in the order of [`Sizes::projections`].
struct Ranks(Vec<[u64; 4]>);

impl Ranks {
    fn of(shape: &ModelConfig, method: &Method) -> Result<Self, Error> {
        let mut ranks = vec![[0u64; 4]; shape.num_hidden_layers];
        if let Method::Lora(lora) = method {
            let adapted = match_target_modules(shape, &lora.target_modules)?;
            // Both lists are in model order.
            let mut adapted = adapted.iter().peekable();
            for (modules, ranks) in shape.linear_modules().chunks(7).zip(&mut ranks) {
                for (module, projection) in modules.iter().zip([0, 0, 0, 1, 2, 2, 3]) {
                    if adapted.next_if(|next: &&LinearModule| next.name == module.name).is_some() {
                        ranks[projection] = ranks[projection].saturating_add(lora.r as u64);
                    }
                }
            }
        }
        Ok(Self(ranks))
    }

    /// The most in any layer, by projection.
    fn most(&self) -> [u64; 4] {
        self.0.iter().fold([0; 4], |most, ranks| std::array::from_fn(|projection| most[projection].max(ranks[projection])))
    }

    /// All of them.
    fn sum(&self) -> u64 {
        self.0.iter().flatten().fold(0, |sum, ranks| sum.saturating_add(*ranks))
    }
}

fn frozen(shape: &ModelConfig, sizes: &Sizes, ranks: &Ranks, kinds: Kinds) -> u64 {
    let elements = |[out, input]: [u64; 2], rank: u64| match kinds.widens() {
        true => out * input,
        false => (out.saturating_add(rank)).saturating_mul(input.saturating_add(rank)),
    };
    let layers = ranks
        .0
        .iter()
        .map(|ranks| sizes.projections().into_iter().zip(*ranks).map(|(size, rank)| elements(size, rank)).fold(0, u64::saturating_add));
    let matrices = layers.fold(0, u64::saturating_add).saturating_mul(kinds.stored);
    let table = sizes.vocabulary * sizes.hidden;
    let tables = if shape.tie_word_embeddings { table * kinds.work } else { table * (kinds.stored + kinds.work) };
    let widened = sizes.projections().into_iter().zip(ranks.most()).map(|([out, input], rank)| 4 * (out + rank) * (input + rank)).max();
    matrices.saturating_add(tables).saturating_add(widened.filter(|_| kinds.widens()).unwrap_or(0))
}

fn activations(shape: &ModelConfig, sizes: &Sizes, ranks: &Ranks, kinds: Kinds, job: &TrainerConfig) -> u64 {
    let Sizes { hidden, query, qkv, intermediate, heads, layers, vocabulary } = *sizes;
    let length = job.dataset.max_length as u64;
    let tokens = (job.hyperparameters.per_device_train_batch_size as u64).saturating_mul(length);
    let [rank_qkv, rank_output, rank_gate_up, rank_down] = ranks.most();
    // One layer's kept activations without its adapters' columns, and what is kept over all layers.
    let one = 2 * hidden + qkv + query + 2 * intermediate;
    let kept = kinds.stored.saturating_mul((layers * one).saturating_add(ranks.sum())).saturating_add(4 * heads * layers);
    let normalised = if shape.qk_norm { qkv } else { 0 };
    let dropped = match &job.method {
        Method::Lora(lora) if lora.lora_dropout > 0.0 => hidden.max(query).max(intermediate),
        _ => 0,
    };
    let beside = 2 * (rank_qkv + rank_gate_up) + rank_down + 2 * rank_output.max(rank_down) + rank_output;
    let scratch = SCRATCH_HIDDEN * hidden
        + SCRATCH_INTERMEDIATE * intermediate
        + SCRATCH_QUERY * query
        + SCRATCH_QKV * qkv
        + normalised
        + dropped
        + beside
        + if kinds.widens() { one } else { 0 };
    let evaluated = match job.dataset.validation {
        // Where bf16 is widened, training has the same buffers.
        Some(_) if !kinds.widens() => (job.evaluation.per_device_eval_batch_size as u64).saturating_mul(length).saturating_mul(one),
        _ => 0,
    };
    let logits = LOGITS.min(tokens.saturating_mul(vocabulary));
    let attention = match job.parallelism.device {
        Device::Cuda => 16 * heads * length.saturating_mul(length),
        Device::Cpu => 0,
    };
    let of_tokens = tokens.saturating_mul(kept.saturating_add(kinds.work.saturating_mul(scratch)));
    of_tokens.saturating_add(kinds.work.saturating_mul(evaluated.saturating_add(logits))).saturating_add(attention)
}
