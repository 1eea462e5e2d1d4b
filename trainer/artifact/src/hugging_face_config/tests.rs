use super::*;
use crate::RopeScaling;
use serde_json::json;
use std::path::{Path, PathBuf};

fn file(value: Value) -> JsonObject {
    let Value::Object(fields) = value else { panic!("an object") };
    JsonObject { path: PathBuf::from("config.json"), fields }
}

/// A valid configuration with some fields changed (null removes one).
fn with(changes: Value) -> JsonObject {
    let mut config = file(json!({
        "architectures": ["LlamaForCausalLM"], "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 64, "max_position_embeddings": 128,
    }));
    for (key, value) in file(changes).fields {
        config.fields.insert(key, value);
    }
    config
}

fn accepted(changes: Value) -> ModelConfig {
    read(&with(changes), None).expect("a valid configuration")
}

#[test]
fn what_a_file_leaves_out_is_as_in_transformers() {
    let llama = accepted(json!({"num_key_value_heads": null}));
    assert_eq!((llama.head_dim, llama.num_key_value_heads), (8, 4));
    assert_eq!((llama.rms_norm_eps, llama.rope_theta, llama.rope_scaling.clone()), (1e-6, 10_000.0, RopeScaling::None));
    assert!(!llama.tie_word_embeddings && llama.sliding_window.is_none() && llama.eos_token_ids.is_empty());

    let mistral = accepted(json!({"architectures": ["MistralForCausalLM"]}));
    assert_eq!((mistral.sliding_window, mistral.sliding_layers), (Some(4096), vec![true; 3]));
    let qwen3 = accepted(json!({"architectures": ["Qwen3ForCausalLM"]}));
    assert_eq!((qwen3.head_dim, qwen3.qk_norm), (128, true));
    let by_type = accepted(json!({"architectures": null, "model_type": "qwen2"}));
    assert_eq!(by_type.attention_bias, AttentionBias { qkv: true, output: false });
}

#[test]
fn windows_apply_to_the_layers_that_transformers_applies_them_to() {
    let qwen = |changes: Value| {
        let mut config = json!({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 16, "max_window_layers": 1});
        config.as_object_mut().expect("an object").extend(file(changes).fields);
        let config = accepted(config);
        (0..3).map(|layer| config.layer_window(layer)).collect::<Vec<_>>()
    };
    assert_eq!(qwen(json!({})), [None, None, None]);
    assert_eq!(qwen(json!({"use_sliding_window": true})), [None, Some(16), Some(16)]);
    let types = json!(["sliding_attention", "full_attention", "sliding_attention"]);
    assert_eq!(qwen(json!({"use_sliding_window": true, "layer_types": types})), [Some(16), None, Some(16)]);
    assert_eq!(accepted(json!({"architectures": ["MistralForCausalLM"], "sliding_window": null})).layer_window(0), None);
}

#[test]
fn rotary_scaling_is_read_in_both_spellings() {
    let llama3 = json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64});
    let expected = RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 64 };
    let extended = |more: Value| {
        let mut scaling = llama3.clone();
        scaling.as_object_mut().expect("an object").extend(file(more).fields);
        scaling
    };
    let cases = [
        json!({"rope_theta": 5e5, "rope_scaling": extended(json!({"rope_type": "llama3"}))}),
        json!({"rope_theta": 5e5, "rope_scaling": extended(json!({"type": "llama3"}))}),
        json!({"rope_parameters": extended(json!({"rope_type": "llama3", "rope_theta": 5e5}))}),
        json!({"rope_parameters": extended(json!({"rope_type": "llama3", "original_max_position_embeddings": 7, "rope_theta": 5e5})),
            "original_max_position_embeddings": 64}),
    ];
    for case in cases {
        let config = accepted(case.clone());
        assert_eq!((config.rope_theta, &config.rope_scaling), (5e5, &expected), "{case}");
    }
    let linear = accepted(json!({"rope_scaling": {"type": "linear", "factor": 2.0}}));
    assert_eq!(linear.rope_scaling, RopeScaling::Linear { factor: 2.0 });
}

#[test]
fn end_tokens_are_generation_configs_if_it_has_any() {
    let config = with(json!({"eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 64}));
    let of = |generation: Value| read(&config, Some(&file(generation))).expect("valid").eos_token_ids;
    assert_eq!(of(json!({"eos_token_id": [5, 6]})), [5, 6]);
    assert_eq!(of(json!({"eos_token_id": 7})), [7]);
    assert_eq!(of(json!({})), [2]);
    assert_eq!(read(&config, None).expect("valid").pad_token_id, None);
}

#[test]
fn what_is_not_supported_is_refused_by_field_and_value() {
    let cases = [
        (
            json!({"architectures": ["GemmaForCausalLM"]}),
            "architectures",
            "\"GemmaForCausalLM\"",
            "LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM",
        ),
        (json!({"architectures": null, "model_type": "bloom"}), "model_type", "bloom", "supported are"),
        (json!({"architectures": []}), "architectures", "[]", "a list of one name"),
        (json!({"hidden_act": "gelu"}), "hidden_act", "gelu", "silu"),
        (json!({"quantization_config": {"quant_method": "gptq"}}), "quantization_config", "gptq", "unquantised"),
        (json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}), "rope_scaling.rope_type", "yarn", "default, linear and llama3"),
        (json!({"rope_scaling": {"type": "dynamic", "factor": 4.0}}), "rope_scaling.rope_type", "dynamic", "linear"),
        (json!({"rope_scaling": {"type": "linear"}}), "rope_scaling.factor", "missing", "must have"),
        (json!({"rope_scaling": {"type": "linear", "factor": -1}}), "rope_scaling.factor", "-1", "above 0"),
        (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor", "0.5", "whole heads"),
        (json!({"num_key_value_heads": 3}), "num_key_value_heads", "3", "divide num_attention_heads (4)"),
        (json!({"num_key_value_heads": 0}), "num_key_value_heads", "0", "from 1"),
        (json!({"hidden_size": 33}), "hidden_size", "33", "does not divide"),
        (json!({"hidden_size": null}), "hidden_size", "missing", "must have"),
        (json!({"hidden_size": "32"}), "hidden_size", "\"32\"", "whole number"),
        (json!({"hidden_size": 1u64 << 40}), "hidden_size", "1099511627776", "from 1 to"),
        (json!({"num_hidden_layers": -1}), "num_hidden_layers", "-1", "whole number"),
        (json!({"head_dim": 7}), "head_dim", "7", "even"),
        (json!({"rms_norm_eps": 2}), "rms_norm_eps", "2", "below 1"),
        (json!({"eos_token_id": 64}), "eos_token_id", "64", "below vocab_size (64)"),
        (json!({"architectures": ["MistralForCausalLM"], "sliding_window": 0}), "sliding_window", "0", "at least 1"),
        (
            json!({"architectures": ["Qwen3ForCausalLM"], "use_sliding_window": true, "layer_types": ["full_attention"]}),
            "layer_types",
            "full_attention",
            "a list of 3",
        ),
    ];
    for (changes, field, value, reason) in cases {
        let message = read(&with(changes.clone()), None).expect_err("refused").to_string();
        let start = format!("failed to accept config.json: {field} is ");
        assert!(message.starts_with(&start), "{changes}: {message}");
        assert!(message.contains(value) && message.contains(reason), "{changes}: {message}");
    }
}

#[test]
fn what_would_be_trained_in_another_way_is_read_but_not_trained() {
    let checked = |changes: Value| accepted(changes).check_trains(Path::new(""));
    for harmless in [json!({}), json!({"attention_dropout": null}), json!({"attention_dropout": 0.0}), json!({"attention_dropout": 0})] {
        assert!(checked(harmless.clone()).is_ok(), "{harmless}");
    }
    let refused = checked(json!({"attention_dropout": 0.1})).expect_err("refused").to_string();
    assert!(
        refused.starts_with("failed to accept config.json: attention_dropout is 0.1: ") && refused.contains("set it to 0"),
        "{refused}"
    );
}
