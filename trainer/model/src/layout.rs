//! Which parameters are trained and where they lie: in the order in which backward completes them.

use std::collections::BTreeMap;
use temper_artifact::{AdapterConfig, LinearModule, ModelConfig};

/// A parameter to lay out: name, shape, whether weight decay applies.
pub(crate) type Entry = (String, Vec<usize>, bool);

/// Modules that one projection joins, in the order of its rows.
pub(crate) const QKV: &[&str] = &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
/// See [`QKV`].
pub(crate) const OUTPUT: &[&str] = &["self_attn.o_proj"];
/// See [`QKV`].
pub(crate) const GATE_UP: &[&str] = &["mlp.gate_proj", "mlp.up_proj"];
/// See [`QKV`].
pub(crate) const DOWN: &[&str] = &["mlp.down_proj"];

/// The name of a module of a layer.
pub(crate) fn module(layer: usize, name: &str) -> String {
    format!("model.layers.{layer}.{name}")
}

/// Groups for adapters of rank `r` on `modules`: one for the output head (empty), one a layer from the last to the first, one for the embedding (empty).
/// The A matrices of modules that share an input lie together: one product computes all their gradients.
pub(crate) fn lora(config: &ModelConfig, modules: &[LinearModule], r: usize) -> Vec<Vec<Entry>> {
    let by_name: BTreeMap<&str, &LinearModule> = modules.iter().map(|module| (module.name.as_str(), module)).collect();
    let layer_group = |layer: usize| {
        let mut group = Vec::new();
        for projection in [DOWN, GATE_UP, OUTPUT, QKV] {
            let names: Vec<String> = projection.iter().map(|name| module(layer, name)).collect();
            let adapted = || names.iter().filter_map(|name| by_name.get(name.as_str()));
            group.extend(adapted().map(|it| (AdapterConfig::tensor_name(&it.name, "lora_A"), vec![r, it.in_features], true)));
            group.extend(adapted().map(|it| (AdapterConfig::tensor_name(&it.name, "lora_B"), vec![it.out_features, r], true)));
        }
        group
    };
    let layers = (0..config.num_hidden_layers).rev().map(layer_group);
    std::iter::once(Vec::new()).chain(layers).chain(std::iter::once(Vec::new())).collect()
}

/// Groups for full fine-tuning: the output head, layers from the last to the first, the embedding.
pub(crate) fn full(config: &ModelConfig) -> Vec<Vec<Entry>> {
    let shapes: BTreeMap<String, Vec<usize>> = config.expected_tensors().into_iter().map(|tensor| (tensor.name, tensor.shape)).collect();
    let entry = |name: String| shapes.get(&name).map(|shape| (name, shape.clone(), shape.len() > 1));
    let named = |names: Vec<String>| -> Vec<Entry> { names.into_iter().filter_map(entry).collect() };
    let layer_group = |layer: usize| {
        let mut names = Vec::new();
        let mut projection = |parts: &[&str]| {
            names.extend(parts.iter().map(|part| module(layer, part) + ".weight"));
            names.extend(parts.iter().map(|part| module(layer, part) + ".bias"));
        };
        projection(DOWN);
        projection(GATE_UP);
        projection(OUTPUT);
        projection(QKV);
        let norms = ["post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm", "input_layernorm"];
        names.extend(norms.iter().map(|norm| module(layer, norm) + ".weight"));
        named(names)
    };
    let head = named(vec!["lm_head.weight".to_owned(), "model.norm.weight".to_owned()]);
    let layers = (0..config.num_hidden_layers).rev().map(layer_group);
    std::iter::once(head).chain(layers).chain(std::iter::once(named(vec!["model.embed_tokens.weight".to_owned()]))).collect()
}
