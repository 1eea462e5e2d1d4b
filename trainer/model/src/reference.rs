//! For tests: an independent, plain implementation with autograd, one sequence at a time, and small models on disk to run it on.

use crate::testing::random;
use crate::{Batch, Model};
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};
use temper_artifact::{AdapterConfig, Dtype, ModelConfig, ModelSource, TensorInfo, write};
use temper_contract::config::{Lora, Method};

/// config.json of a small model of every supported shape, by name.
pub(crate) fn configs() -> Vec<(&'static str, serde_json::Value)> {
    let small = serde_json::json!({
        "vocab_size": 37, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
        "tie_word_embeddings": false,
    });
    let with = |family: &str, changes: serde_json::Value| {
        let mut config = small.clone();
        let architecture = match family {
            "llama" => "LlamaForCausalLM",
            "mistral" => "MistralForCausalLM",
            "qwen2" => "Qwen2ForCausalLM",
            _ => "Qwen3ForCausalLM",
        };
        config["architectures"] = serde_json::json!([architecture]);
        config["model_type"] = family.into();
        for (name, value) in changes.as_object().expect("an object") {
            config[name] = value.clone();
        }
        config
    };
    vec![
        ("llama", with("llama", serde_json::json!({}))),
        ("llama biases", with("llama", serde_json::json!({"attention_bias": true, "mlp_bias": true}))),
        (
            "llama odd heads, tied",
            with(
                "llama",
                serde_json::json!({"hidden_size": 21, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 10, "tie_word_embeddings": true}),
            ),
        ),
        ("mistral window", with("mistral", serde_json::json!({"sliding_window": 4}))),
        ("qwen2 tied", with("qwen2", serde_json::json!({"tie_word_embeddings": true}))),
        ("qwen3", with("qwen3", serde_json::json!({"head_dim": 8}))),
    ]
}

/// A folder with a random model of this shape.
pub(crate) fn model_folder(config: &serde_json::Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write::atomic_json(&folder.path().join("config.json"), config).expect("a small file");
    let tied = config["tie_word_embeddings"] == true;
    // The loader knows the shapes; a first opening, without weights, cannot be: so they are listed from a parsed configuration.
    let shapes = shapes(config, tied);
    let tensors: Vec<(TensorInfo, Vec<u8>)> = shapes
        .into_iter()
        .enumerate()
        .map(|(number, (name, shape))| {
            let extents: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
            let norm = name.contains("norm");
            let values = random(&extents, number as u64) * if norm { 0.5 } else { 0.4 } + if norm { 1.0 } else { 0.0 };
            let mut bytes = vec![0; 4 * values.numel()];
            values.contiguous().copy_data_u8(&mut bytes, values.numel());
            (TensorInfo { name, shape, dtype: Dtype::F32 }, bytes)
        })
        .collect();
    let borrowed: Vec<(TensorInfo, &[u8])> = tensors.iter().map(|(info, bytes)| (info.clone(), bytes.as_slice())).collect();
    write::safetensors(&folder.path().join("model.safetensors"), &borrowed, &[]).expect("a small file");
    folder
}

fn shapes(config: &serde_json::Value, tied: bool) -> Vec<(String, Vec<usize>)> {
    let number = |name: &str| config[name].as_u64().map(|value| value as usize);
    let of = |name: &str| number(name).expect("the small configurations have it");
    let (hidden, intermediate, heads, kv) =
        (of("hidden_size"), of("intermediate_size"), of("num_attention_heads"), of("num_key_value_heads"));
    let head = number("head_dim").unwrap_or(hidden / heads);
    let family = config["model_type"].as_str().unwrap_or_default();
    let (qkv_bias, o_bias) = (family == "qwen2" || config["attention_bias"] == true, config["attention_bias"] == true);
    let mut shapes = vec![("model.embed_tokens.weight".to_owned(), vec![of("vocab_size"), hidden])];
    for layer in 0..of("num_hidden_layers") {
        let mut add = |name: &str, shape: &[usize]| shapes.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
        let linears = [
            ("self_attn.q_proj", heads * head, hidden, qkv_bias),
            ("self_attn.k_proj", kv * head, hidden, qkv_bias),
            ("self_attn.v_proj", kv * head, hidden, qkv_bias),
            ("self_attn.o_proj", hidden, heads * head, o_bias),
            ("mlp.gate_proj", intermediate, hidden, config["mlp_bias"] == true),
            ("mlp.up_proj", intermediate, hidden, config["mlp_bias"] == true),
            ("mlp.down_proj", hidden, intermediate, config["mlp_bias"] == true),
        ];
        for (name, rows, columns, bias) in linears {
            add(&format!("{name}.weight"), &[rows, columns]);
            if bias {
                add(&format!("{name}.bias"), &[rows]);
            }
        }
        if family == "qwen3" {
            add("self_attn.q_norm.weight", &[head]);
            add("self_attn.k_norm.weight", &[head]);
        }
        add("input_layernorm.weight", &[hidden]);
        add("post_attention_layernorm.weight", &[hidden]);
    }
    shapes.push(("model.norm.weight".to_owned(), vec![hidden]));
    if !tied {
        shapes.push(("lm_head.weight".to_owned(), vec![of("vocab_size"), hidden]));
    }
    shapes
}

/// LoRA on every linear module.
pub(crate) fn lora(dropout: f64) -> Method {
    Method::Lora(Lora { r: 4, lora_alpha: 6.0, lora_dropout: dropout, target_modules: vec!["all-linear".to_owned()], use_rslora: false })
}

/// Gives B matrices values, as after some training: with zeros, A would have no gradient.
pub(crate) fn shake(model: &mut Model) {
    let noise = random(&model.trainable.master.size(), 77) * 0.05;
    let _ = tch::no_grad(|| model.trainable.master.g_add_(&noise));
    model.sync_compute_weights();
}

/// Two sequences of several tokens and one of one, a part of them targets.
pub(crate) fn batch() -> Batch {
    Batch {
        token_ids: vec![3, 7, 1, 30, 12, 9, 36, 4, 5, 5, 20, 8, 0, 17, 2],
        sequence_lengths: vec![8, 6, 1],
        target_rows: vec![2, 3, 6, 8, 10, 12],
        target_ids: vec![30, 12, 4, 5, 8, 17],
    }
}

/// The plain model: every trained value is a leaf with a gradient.
pub(crate) struct Reference {
    config: ModelConfig,
    weights: HashMap<String, Tensor>,
    scaling: f64,
}

impl Reference {
    /// With the values that `model` has now.
    pub(crate) fn of(model: &Model, source: &ModelSource) -> Self {
        let mut weights = HashMap::new();
        for info in source.tensors() {
            let shape: Vec<i64> = info.shape.iter().map(|&extent| extent as i64).collect();
            let values = source.tensor(&info.name).expect("listed").to_f32();
            weights.insert(info.name.clone(), Tensor::from_slice(&values).view(shape.as_slice()));
        }
        for parameter in model.trainable.parameters() {
            weights.insert(parameter.name.clone(), model.trainable.value(parameter).copy().set_requires_grad(true));
        }
        let scaling = if let Some(Method::Lora(lora)) = &model.method { crate::lora::scaling(lora) } else { 0.0 };
        Self { config: source.config().clone(), weights, scaling }
    }

    fn linear(&self, x: &Tensor, module: &str) -> Tensor {
        let mut y = x.matmul(&self.weights[&format!("{module}.weight")].tr());
        if let Some(bias) = self.weights.get(&format!("{module}.bias")) {
            y += bias;
        }
        let adapter = |matrix| self.weights.get(&AdapterConfig::tensor_name(module, matrix));
        if let (Some(a), Some(b)) = (adapter("lora_A"), adapter("lora_B")) {
            y += x.matmul(&a.tr()).matmul(&b.tr()) * self.scaling;
        }
        y
    }

    fn norm(&self, x: &Tensor, name: &str) -> Tensor {
        let mean = (x * x).mean_dim(-1, true, Kind::Float);
        x * (mean + self.config.rms_norm_eps).rsqrt() * &self.weights[&format!("{name}.weight")]
    }

    /// `[S, heads, D]` rotated as complex numbers (x_i + x_{i + D/2} i) e^(i angle).
    fn rotate(&self, x: &Tensor) -> Tensor {
        let (length, half) = (x.size()[0], self.config.head_dim as i64 / 2);
        let divisors = self.config.rope_scaling.frequency_divisors(self.config.rope_theta, self.config.head_dim);
        let frequencies: Vec<f64> =
            divisors.iter().enumerate().map(|(i, d)| self.config.rope_theta.powf(-(i as f64) / half as f64) / d).collect();
        let angles = Tensor::arange(length, (Kind::Double, Device::Cpu)).outer(&Tensor::from_slice(&frequencies)).unsqueeze(1);
        let rotation = Tensor::complex(&angles.cos(), &angles.sin());
        let pairs = Tensor::complex(&x.narrow(2, 0, half).to_kind(Kind::Double), &x.narrow(2, half, half).to_kind(Kind::Double));
        let rotated = pairs * rotation;
        Tensor::cat(&[rotated.real(), rotated.imag()], 2).to_kind(Kind::Float)
    }

    /// `[S, V]` logits of one sequence.
    pub(crate) fn logits(&self, ids: &[i64]) -> Tensor {
        let config = &self.config;
        let length = ids.len() as i64;
        let embedding = &self.weights["model.embed_tokens.weight"];
        let mut h = embedding.index_select(0, &Tensor::from_slice(ids));
        for layer in 0..config.num_hidden_layers {
            let name = |module: &str| format!("model.layers.{layer}.{module}");
            let x = self.norm(&h, &name("input_layernorm"));
            let heads = |module: &str| self.linear(&x, &name(module)).view([length, -1, config.head_dim as i64]);
            let [mut q, mut k, v] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"].map(heads);
            if config.qk_norm {
                q = self.norm(&q, &name("self_attn.q_norm"));
                k = self.norm(&k, &name("self_attn.k_norm"));
            }
            let group = (config.num_attention_heads / config.num_key_value_heads) as i64;
            let [q, k] = [self.rotate(&q), self.rotate(&k)];
            let [k, v] = [k, v].map(|x| x.repeat_interleave_self_int(group, 1, None));
            let [q, k, v] = [q, k, v].map(|x| x.transpose(0, 1));
            let t = Tensor::arange(length, (Kind::Int64, Device::Cpu));
            let distance = t.unsqueeze(1) - t.unsqueeze(0);
            let mut hidden = distance.lt(0);
            if let Some(window) = config.layer_window(layer) {
                hidden = hidden.logical_or(&distance.ge(window as i64));
            }
            let scores = (q.matmul(&k.transpose(1, 2)) / (config.head_dim as f64).sqrt()).masked_fill(&hidden, f64::NEG_INFINITY);
            let attended = scores.softmax(-1, Kind::Float).matmul(&v).transpose(0, 1).reshape([length, -1]);
            h = self.linear(&attended, &name("self_attn.o_proj")) + &h;
            let x = self.norm(&h, &name("post_attention_layernorm"));
            let gated = self.linear(&x, &name("mlp.gate_proj")).silu() * self.linear(&x, &name("mlp.up_proj"));
            h = self.linear(&gated, &name("mlp.down_proj")) + &h;
        }
        let head = self.weights.get("lm_head.weight").unwrap_or(embedding);
        self.norm(&h, "model.norm").matmul(&head.tr())
    }

    /// Sum of the targets' losses, each sequence run alone.
    pub(crate) fn loss(&self, batch: &Batch) -> Tensor {
        let mut start = 0;
        let mut total = Tensor::zeros([], (Kind::Float, Device::Cpu));
        for &length in &batch.sequence_lengths {
            let end = start + length;
            let log_probabilities = self.logits(&batch.token_ids[start..end]).log_softmax(-1, Kind::Float);
            for (&row, &target) in batch.target_rows.iter().zip(&batch.target_ids) {
                if (start..end).contains(&(row as usize)) {
                    total -= log_probabilities.get(row - start as i64).get(target);
                }
            }
            start = end;
        }
        total
    }

    /// Gradients of the flat values, in their layout.
    pub(crate) fn gradient(&self, model: &Model, batch: &Batch) -> Tensor {
        self.loss(batch).backward();
        let pieces: Vec<Tensor> = model.trainable.parameters().iter().map(|it| self.weights[&it.name].grad().view([-1])).collect();
        Tensor::cat(&pieces, 0)
    }
}
