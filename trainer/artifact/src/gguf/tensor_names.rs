//! llama.cpp's tensor names and Hugging Face's.

/// llama.cpp's suffix within `blk.N.` and Hugging Face's within `model.layers.N.`.
const IN_LAYER: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

const OUTSIDE: [(&str, &str); 3] = [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

/// The Hugging Face name of a GGUF tensor, if it is a parameter of a supported architecture.
pub(crate) fn hugging_face(name: &str) -> Option<String> {
    let (stem, kind) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
    if let Some((_, theirs)) = OUTSIDE.iter().find(|(ours, _)| *ours == stem) {
        return Some(format!("{theirs}.{kind}"));
    }
    let (layer, suffix) = stem.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (_, theirs) = IN_LAYER.iter().find(|(ours, _)| *ours == suffix)?;
    Some(format!("model.layers.{layer}.{theirs}.{kind}"))
}

/// Whether it is a layer's tensor that no supported architecture has, so that the model computes something else. Old files carry rotary
/// angles, which are computed anew.
pub(crate) fn is_unknown_in_layer(name: &str) -> bool {
    name.starts_with("blk.") && hugging_face(name).is_none() && !name.ends_with(".attn_rot_embd.weight")
}

#[cfg(test)]
mod tests {
    use super::{hugging_face, is_unknown_in_layer};

    #[test]
    fn names_map_to_hugging_faces() {
        let cases = [
            ("token_embd.weight", Some("model.embed_tokens.weight")),
            ("output.weight", Some("lm_head.weight")),
            ("output_norm.weight", Some("model.norm.weight")),
            ("blk.12.attn_q.bias", Some("model.layers.12.self_attn.q_proj.bias")),
            ("blk.0.attn_q_norm.weight", Some("model.layers.0.self_attn.q_norm.weight")),
            ("blk.0.ffn_norm.weight", Some("model.layers.0.post_attention_layernorm.weight")),
            ("blk.0.ffn_gate_exps.weight", None),
            ("rope_freqs.weight", None),
            ("blk.x.attn_q.weight", None),
        ];
        for (gguf, expected) in cases {
            assert_eq!(hugging_face(gguf).as_deref(), expected, "{gguf}");
            assert_eq!(is_unknown_in_layer(gguf), expected.is_none() && gguf.starts_with("blk."), "{gguf}");
        }
        assert!(is_unknown_in_layer("blk.0.attn_q.scale") && !is_unknown_in_layer("blk.0.attn_rot_embd.weight"));
    }
}
