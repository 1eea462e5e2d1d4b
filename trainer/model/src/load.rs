//! From a model's files to its parts: every tensor in the type it will be used in, trained ones as views of the flat values.

use crate::arithmetic::Arithmetic;
use crate::attention::Attention;
use crate::block::Block;
use crate::embedding::Embedding;
use crate::head::Head;
use crate::layout::{self, DOWN, GATE_UP, OUTPUT, QKV};
use crate::parameters::{FlatParameters, Parameter};
use crate::projection::{Adapter, BaseGradient, Part, Projection, Weight};
use crate::random::name_key;
use crate::rms_norm::RmsNorm;
use crate::{Error, lora};
use tch::{Device, Kind, Tensor};
use temper_artifact::{AdapterConfig, ModelConfig, ModelSource, match_target_modules};
use temper_contract::config::{Lora, Method};

/// A loaded model's parts.
pub(crate) struct Parts {
    pub(crate) embedding: Embedding,
    pub(crate) blocks: Vec<Block>,
    pub(crate) head: Head,
    pub(crate) trainable: FlatParameters,
    /// Where in the flat values each stage of backward ends: head, layers from the last to the first, embedding.
    pub(crate) stage_ends: Vec<usize>,
    /// bf16 copies of trained fp32 values, as (from, to).
    pub(crate) copies: Vec<(Tensor, Tensor)>,
}

/// Where the trained values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// From the method: adapters at PEFT's first values of this seed, or the base model's own.
    First {
        /// The job's seed.
        seed: u64,
    },
    /// From a checkpoint, later. Until then they are zeros, and there is no room for gradients.
    Later,
}

/// What is being loaded, into what.
struct Loader<'a> {
    source: &'a ModelSource,
    arithmetic: Arithmetic,
    device: Device,
    /// Settings of the adapters, where there are any.
    lora: Option<&'a Lora>,
    trainable: FlatParameters,
    copies: Vec<(Tensor, Tensor)>,
}

/// Loads the base model and lays out what `method` trains (nothing without one).
pub(crate) fn parts(
    source: &ModelSource,
    method: Option<&Method>,
    arithmetic: Arithmetic,
    device: Device,
    values: Values,
) -> Result<Parts, Error> {
    let config = source.config();
    let groups = match method {
        None => Vec::new(),
        Some(Method::Full) => layout::full(config),
        Some(Method::Lora(lora)) => layout::lora(config, &match_target_modules(config, &lora.target_modules)?, lora.r),
    };
    let mut end = 0;
    let elements = |group: &Vec<layout::Entry>| group.iter().map(|(_, shape, _)| shape.iter().product::<usize>()).sum::<usize>();
    let stage_ends = groups.iter().map(|group| {
        end += elements(group);
        end
    });
    let stage_ends = stage_ends.collect();
    let lora = match method {
        Some(Method::Lora(lora)) => Some(lora),
        _ => None,
    };
    let trainable = match values {
        Values::First { .. } => FlatParameters::new(groups, device)?,
        Values::Later => FlatParameters::without_gradients(groups, device)?,
    };
    let mut loader = Loader { source, arithmetic, device, lora, trainable, copies: Vec::new() };
    if let Values::First { seed } = values {
        loader.fill(method, seed)?;
    }
    let blocks = (0..config.num_hidden_layers).map(|layer| loader.block(config, layer)).collect::<Result<_, Error>>()?;
    let (embedding, head) = loader.ends(config)?;
    Ok(Parts { embedding, blocks, head, trainable: loader.trainable, stage_ends, copies: loader.copies })
}

impl Loader<'_> {
    /// A tensor of the base model in fp32, on the CPU.
    fn read(&self, name: &str) -> Result<Tensor, Error> {
        let raw = self.source.tensor(name)?;
        let shape: Vec<i64> = raw.info().shape.iter().map(|&extent| extent as i64).collect();
        Ok(Tensor::f_from_slice(&raw.to_f32()).map_err(Error::libtorch("reading a weight"))?.view(shape.as_slice()))
    }

    /// Gives trained values their first values.
    fn fill(&self, method: Option<&Method>, seed: u64) -> Result<(), Error> {
        for parameter in self.trainable.parameters() {
            match (method, adapter_module(&parameter.name)) {
                (Some(Method::Lora(lora)), Some(module)) => {
                    let values = lora::initial_a(seed, module, lora.r, parameter.shape[1]);
                    self.trainable.value(parameter).copy_(&Tensor::from_slice(&values).view([lora.r as i64, -1]));
                }
                // lora_B starts from zero, as the flat values do.
                (Some(Method::Lora(_)), None) | (None, _) => {}
                (Some(Method::Full), _) => self.trainable.value(parameter).copy_(&self.read(&parameter.name)?),
            }
        }
        Ok(())
    }

    fn trained(&self, name: &str) -> Option<&Parameter> {
        self.trainable.find(name)
    }

    /// Views of the values and gradients of trained parameters that lie side by side, in one shape; none if they are not trained.
    fn joint(&self, names: &[String], shape: &[i64]) -> Option<[Tensor; 2]> {
        let (first, last) = (self.trained(names.first()?)?, self.trained(names.last()?)?);
        let (start, length) = (first.range.start as i64, (last.range.end - first.range.start) as i64);
        Some([&self.trainable.master, &self.trainable.gradient].map(|flat| flat.narrow(0, start, length).view(shape)))
    }

    /// Trained fp32 values in the type that matrices are multiplied in: themselves, or a copy that is brought up to date after each step.
    fn compute_copy(&mut self, values: Tensor) -> Tensor {
        if self.arithmetic.work() == Kind::Float {
            return values;
        }
        let copy = values.to_kind(self.arithmetic.work());
        self.copies.push((values, copy.shallow_clone()));
        copy
    }

    /// A frozen tensor, rounded to the type in which weights rest, in the type `kind`.
    fn frozen(&self, name: &str, kind: Kind) -> Result<Tensor, Error> {
        Ok(self.read(name)?.to_kind(self.arithmetic.storage()).to_device(self.device).to_kind(kind))
    }

    fn norm(&self, name: &str, epsilon: f64) -> Result<RmsNorm, Error> {
        let name = format!("{name}.weight");
        Ok(match self.trained(&name) {
            Some(parameter) => {
                let gradient = Some(self.trainable.gradient_of(parameter));
                RmsNorm { weight: self.trainable.value(parameter), epsilon, gradient }
            }
            None => RmsNorm { weight: self.frozen(&name, Kind::Float)?, epsilon, gradient: None },
        })
    }

    fn projection(&mut self, config: &ModelConfig, layer: usize, modules: &[&str]) -> Result<Projection, Error> {
        let names: Vec<String> = modules.iter().map(|name| layout::module(layer, name)).collect();
        let weights: Vec<String> = names.iter().map(|name| format!("{name}.weight")).collect();
        let shapes = weights.iter().map(|name| self.source.tensor(name).map(|raw| raw.info().shape.clone()));
        let shapes = shapes.collect::<Result<Vec<_>, _>>()?;
        let in_features = shapes[0][1];
        let mut parts = Vec::new();
        let (mut row, mut rank) = (0, 0);
        for (name, shape) in names.iter().zip(&shapes) {
            let rows = row..row + shape[0] as i64;
            row = rows.end;
            let adapter = self.adapter(name, rank);
            rank = adapter.as_ref().map_or(rank, |adapter| adapter.ranks.end);
            parts.push(Part { rows, adapter });
        }
        let (ranks, columns) = (rank, in_features as i64);
        let a_names: Vec<String> = names.iter().map(|name| AdapterConfig::tensor_name(name, "lora_A")).collect();
        let a_names: Vec<String> = a_names.into_iter().filter(|name| self.trained(name).is_some()).collect();
        let a_gradient = self.joint(&a_names, &[ranks, columns]).map(|[_, gradient]| gradient);

        let trained = self.joint(&weights, &[row, columns]);
        let mut gradient = None;
        let weight = match trained {
            Some([values, weight_gradient]) => {
                gradient = Some(BaseGradient { weight: weight_gradient, bias: None });
                Weight::Ready(self.compute_copy(values))
            }
            None => self.frozen_matrix(&weights, &parts, [row + ranks, columns + ranks])?,
        };
        let bias_names: Vec<String> = names.iter().map(|name| format!("{name}.bias")).collect();
        let bias = if !config.has_bias(&names[0]) {
            None
        } else if let Some([values, bias_gradient]) = self.joint(&bias_names, &[row]) {
            gradient = gradient.map(|gradient| BaseGradient { bias: Some(bias_gradient), ..gradient });
            Some(self.compute_copy(values))
        } else {
            let biases = bias_names.iter().map(|name| self.frozen(name, self.arithmetic.work())).collect::<Result<Vec<_>, _>>()?;
            Some(Tensor::cat(&biases, 0))
        };
        let scaling = self.lora.map_or(1.0, lora::scaling);
        let projection = Projection { in_features, out_features: row as usize, parts, weight, bias, scaling, a_gradient, gradient };
        projection.sync();
        Ok(projection)
    }

    /// Frozen weights one below the other, with room for the adapters where the matrix is used as it rests.
    fn frozen_matrix(&self, names: &[String], parts: &[Part], extended: [i64; 2]) -> Result<Weight, Error> {
        let widened = self.arithmetic == Arithmetic::Bf16Widened;
        let rows = parts.last().map_or(0, |part| part.rows.end);
        let mut matrix: Option<Tensor> = None;
        for (name, part) in names.iter().zip(parts) {
            let values = self.read(name)?;
            let columns = values.size()[1];
            let size = if widened { [rows, columns] } else { extended };
            let options = (self.arithmetic.storage(), self.device);
            let allocate = || Tensor::f_zeros(size, options).map_err(Error::libtorch("allocating weights"));
            let matrix = match &mut matrix {
                Some(matrix) => matrix,
                None => matrix.insert(allocate()?),
            };
            matrix.narrow(0, part.rows.start, part.rows.end - part.rows.start).narrow(1, 0, columns).copy_(&values);
        }
        let matrix = matrix.unwrap_or_else(|| Tensor::zeros(extended, (self.arithmetic.storage(), self.device)));
        Ok(if widened { Weight::Widened(matrix) } else { Weight::Ready(matrix) })
    }

    /// A module's adapter, its ranks from `first_rank` on.
    fn adapter(&self, module: &str, first_rank: i64) -> Option<Adapter> {
        let a = self.trained(&AdapterConfig::tensor_name(module, "lora_A"))?;
        let b = self.trained(&AdapterConfig::tensor_name(module, "lora_B"))?;
        Some(Adapter {
            ranks: first_rank..first_rank + a.shape[0] as i64,
            a: self.trainable.value(a),
            b: self.trainable.value(b),
            b_gradient: self.trainable.gradient_of(b),
            module: name_key(module),
        })
    }

    fn block(&mut self, config: &ModelConfig, layer: usize) -> Result<Block, Error> {
        let name = |norm: &str| layout::module(layer, norm);
        let epsilon = config.rms_norm_eps;
        let head_norms = if config.qk_norm {
            Some([self.norm(&name("self_attn.q_norm"), epsilon)?, self.norm(&name("self_attn.k_norm"), epsilon)?])
        } else {
            None
        };
        Ok(Block {
            input_norm: self.norm(&name("input_layernorm"), epsilon)?,
            qkv: self.projection(config, layer, QKV)?,
            head_norms,
            attention: Attention {
                heads: config.num_attention_heads,
                key_value_heads: config.num_key_value_heads,
                head_dim: config.head_dim,
                window: config.layer_window(layer),
            },
            output: self.projection(config, layer, OUTPUT)?,
            feed_forward_norm: self.norm(&name("post_attention_layernorm"), epsilon)?,
            gate_up: self.projection(config, layer, GATE_UP)?,
            down: self.projection(config, layer, DOWN)?,
        })
    }

    /// Embedding and head; one matrix where they are tied.
    fn ends(&mut self, config: &ModelConfig) -> Result<(Embedding, Head), Error> {
        let norm = self.norm("model.norm", config.rms_norm_eps)?;
        let tied = config.tie_word_embeddings;
        let work = self.arithmetic.work();
        let embedding_kind = if tied { work } else { self.arithmetic.storage() };
        let embedding = self.table("model.embed_tokens.weight", embedding_kind)?;
        let share = |(weight, gradient): &(Tensor, Option<Tensor>)| (weight.shallow_clone(), gradient.as_ref().map(Tensor::shallow_clone));
        let (weight, gradient) = if tied { share(&embedding) } else { self.table("lm_head.weight", work)? };
        Ok((Embedding { weight: embedding.0, gradient: embedding.1 }, Head { norm, weight, gradient }))
    }

    /// A `[V, H]` matrix and, if it is trained, its gradient.
    fn table(&mut self, name: &str, kind: Kind) -> Result<(Tensor, Option<Tensor>), Error> {
        match self.trained(name).cloned() {
            None => Ok((self.frozen(name, kind)?, None)),
            Some(parameter) => {
                let gradient = self.trainable.gradient_of(&parameter);
                let values = self.trainable.value(&parameter);
                Ok((self.compute_copy(values), Some(gradient)))
            }
        }
    }
}

/// The module of a `lora_A` parameter.
fn adapter_module(name: &str) -> Option<&str> {
    name.strip_prefix("base_model.model.")?.strip_suffix(".lora_A.weight")
}
