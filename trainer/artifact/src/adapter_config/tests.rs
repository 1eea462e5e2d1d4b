use super::*;
use serde_json::json;
use std::path::PathBuf;

/// What PEFT 0.21.2 wrote for `LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"], r=8, lora_alpha=16)`.
const FROM_PEFT: &str = include_str!("from_peft.json");

fn config() -> AdapterConfig {
    AdapterConfig {
        base_model_name_or_path: None,
        revision: None,
        r: 8,
        lora_alpha: 16.0,
        lora_dropout: 0.0,
        target_modules: vec!["v_proj".to_owned(), "q_proj".to_owned()],
        use_rslora: false,
    }
}

fn file(value: Value) -> JsonObject {
    let Value::Object(fields) = value else { panic!("an object") };
    JsonObject { path: PathBuf::from("adapter_config.json"), fields }
}

#[test]
fn the_file_is_what_peft_writes() {
    let mut peft: Value = serde_json::from_str(FROM_PEFT).expect("JSON");
    // PEFT writes a set, in no fixed order.
    peft["target_modules"] = json!(["q_proj", "v_proj"]);
    let ours = serde_json::to_string_pretty(&config().to_json()).expect("JSON");
    assert_eq!(ours, serde_json::to_string_pretty(&peft).expect("JSON"));
    assert_eq!(
        AdapterConfig::from_json(&file(peft)).expect("read"),
        AdapterConfig { target_modules: vec!["q_proj".to_owned(), "v_proj".to_owned()], ..config() }
    );
}

#[test]
fn the_shorthand_is_written_out() {
    let all = AdapterConfig { target_modules: vec!["all-linear".to_owned()], lora_alpha: 1.5, ..config() };
    let json = all.to_json();
    assert_eq!(json["target_modules"], json!(["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]));
    assert_eq!(json["lora_alpha"], json!(1.5));
}

#[test]
fn scaling_is_alpha_over_r_or_its_root() {
    assert_eq!(config().scaling(), 2.0);
    assert_eq!(AdapterConfig { r: 16, use_rslora: true, ..config() }.scaling(), 4.0);
}

#[test]
fn what_is_not_plain_lora_is_refused_by_field() {
    let cases = [
        ("peft_type", json!("IA3")),
        ("task_type", json!("SEQ_CLS")),
        ("use_dora", json!(true)),
        ("modules_to_save", json!(["lm_head"])),
        ("rank_pattern", json!({"q_proj": 4})),
        ("alpha_pattern", json!({"q_proj": 4})),
        ("bias", json!("all")),
        ("fan_in_fan_out", json!(true)),
        ("layers_to_transform", json!([0])),
        ("init_lora_weights", json!("pissa")),
        ("lora_bias", json!(true)),
        ("a_field_of_the_future", json!({"x": 1})),
        ("target_modules", json!(".*q_proj")),
        ("target_modules", json!(null)),
        ("r", json!(0)),
        ("r", json!(null)),
        ("lora_dropout", json!(1.0)),
        ("lora_alpha", json!("16")),
    ];
    for (field, value) in cases {
        let mut changed: Value = serde_json::from_str(FROM_PEFT).expect("JSON");
        changed[field] = value.clone();
        let message = AdapterConfig::from_json(&file(changed)).expect_err("refused").to_string();
        assert!(message.starts_with(&format!("failed to accept adapter_config.json: {field} is ")), "{field} {value}: {message}");
    }
}
