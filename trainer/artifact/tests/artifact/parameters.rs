use serde_json::{Value, json};
use std::path::Path;
use temper_artifact::memory::Bf16;
use temper_artifact::{Dtype, TensorInfo};
use temper_artifact::{ModelConfig, ModelSource, match_target_modules, memory, parameters, write};
use temper_contract::config::{Lora, Method, TrainerConfig};

/// The model of a configuration, whose weights are all there but zero.
fn model(config: Value) -> ModelConfig {
    let folder = tempfile::tempdir().expect("a folder");
    write::atomic_json(&folder.path().join("config.json"), &config).expect("written");
    let open = || ModelSource::open(folder.path());
    // The error says which tensor is missing with which shape only one at a time, so a guess of everything is refined.
    let mut tensors: Vec<TensorInfo> = Vec::new();
    loop {
        write_zeros(&folder.path().join("model.safetensors"), &tensors);
        match open() {
            Ok(source) => return source.config().clone(),
            Err(temper_artifact::Error::Tensor { tensor, reason, .. }) => match tensors.iter_mut().find(|info| info.name == tensor) {
                None => tensors.push(TensorInfo { name: tensor, shape: vec![1], dtype: Dtype::BF16 }),
                Some(info) => {
                    let wanted = reason.rsplit_once("says ").expect("a shape").1;
                    info.shape = serde_json::from_str(wanted).expect("a shape");
                }
            },
            Err(other) => panic!("{other}"),
        }
    }
}

fn write_zeros(path: &Path, tensors: &[TensorInfo]) {
    let zeros: Vec<Vec<u8>> = tensors.iter().map(|info| vec![0; 2 * info.elements()]).collect();
    let tensors: Vec<_> = tensors.iter().cloned().zip(zeros.iter().map(Vec::as_slice)).collect();
    write::safetensors(path, &tensors, &[]).expect("written");
}

fn lora(r: usize, targets: &[&str]) -> Method {
    let target_modules = targets.iter().map(|&target| target.to_owned()).collect();
    Method::Lora(Lora { r, lora_alpha: 16.0, lora_dropout: 0.0, target_modules, use_rslora: false })
}

#[test]
fn counts_are_pefts() {
    // From PEFT 0.21.2: get_nb_trainable_parameters with r 8 on q_proj and v_proj, and with r 5 on all-linear.
    let cases = [
        (
            json!({"architectures": ["LlamaForCausalLM"], "num_attention_heads": 6, "num_key_value_heads": 3, "tie_word_embeddings": true}),
            (4032, 62592),
            (10800, 69360),
        ),
        (
            json!({"architectures": ["LlamaForCausalLM"], "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 10, "attention_bias": true, "mlp_bias": true}),
            (3264, 56454),
            (9840, 63030),
        ),
        (
            json!({"architectures": ["MistralForCausalLM"], "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 12}),
            (4608, 73008),
            (11520, 79920),
        ),
        (
            json!({"architectures": ["Qwen2ForCausalLM"], "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true}),
            (4032, 62880),
            (10800, 69648),
        ),
        (
            json!({"architectures": ["Qwen3ForCausalLM"], "num_attention_heads": 5, "num_key_value_heads": 5, "head_dim": 16}),
            (6144, 93072),
            (13440, 100_368),
        ),
    ];
    for (mut config, some, all) in cases {
        let sizes = json!({"vocab_size": 61, "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 3});
        config.as_object_mut().expect("an object").extend(sizes.as_object().expect("an object").clone());
        let model = model(config.clone());
        let counted = |method: Method| parameters::count(&model, &method).map(|counts| (counts.trainable, counts.total)).expect("counted");
        assert_eq!(counted(lora(8, &["q_proj", "v_proj"])), some, "{config}");
        assert_eq!(counted(lora(5, &["all-linear"])), all, "{config}");
        let base = some.1 - some.0;
        assert_eq!(counted(Method::Full), (base, base), "{config}");
    }
}

fn small() -> ModelConfig {
    model(json!({"architectures": ["LlamaForCausalLM"], "vocab_size": 61, "hidden_size": 48, "intermediate_size": 80,
        "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 3}))
}

#[test]
fn targets_match_by_name_or_suffix() {
    let model = small();
    let names = |targets: &[&str]| {
        let targets: Vec<String> = targets.iter().map(|&target| target.to_owned()).collect();
        match_target_modules(&model, &targets).map(|modules| modules.into_iter().map(|module| module.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&["v_proj", "q_proj"]).expect("match").len(), 4);
    assert_eq!(names(&["model.layers.1.mlp.up_proj"]).expect("match"), ["model.layers.1.mlp.up_proj"]);
    assert_eq!(
        names(&["0.self_attn.q_proj", "q_proj"]).expect("match"),
        ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"]
    );
    assert_eq!(names(&["All-Linear"]).expect("match").len(), 14);
    // A suffix begins at a dot, and only linear modules count.
    for unknown in ["proj", "_proj", "self_attn", "q_porj", "", "lm_head", "embed_tokens", "layers.2.mlp.up_proj"] {
        let message = names(&["q_proj", unknown]).expect_err("refused").to_string();
        assert!(message.starts_with(&format!("failed to match targetModules: {unknown:?} ")), "{message}");
        assert!(message.contains("q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"), "{message}");
    }
    assert!(names(&[]).expect_err("refused").to_string().contains("selects nothing"));
    assert!(names(&["q_proj", "all-linear"]).expect_err("refused").to_string().contains("stand alone"));
}

#[test]
fn the_memory_estimate_follows_its_formula() {
    let model = small();
    let job = |precision: &str, method: Value| -> TrainerConfig {
        serde_json::from_value(json!({
            "jobName": "j", "runFolder": "r", "checkpointFolder": "c", "outputFolder": "o",
            "baseModel": {"path": "m", "uri": "file://m"},
            "dataset": {"path": "d", "format": "text", "validation": null, "chatTemplate": "tokenizerDefault", "maxLength": 16,
                "excessLengthStrategy": "truncate", "packing": false, "filters": {"minLength": null, "maxLength": null, "exactDeduplication": false,
                "includePattern": null, "excludePattern": null, "maxRejectedFraction": 0.1}, "seed": 1},
            "method": method,
            "hyperparameters": {"numTrainEpochs": 1.0, "maxSteps": null, "perDeviceTrainBatchSize": 4, "learningRate": 1e-4, "lrSchedulerType": "cosine",
                "warmupSteps": 0, "weightDecay": 0.0, "adamBeta1": 0.9, "adamBeta2": 0.999, "adamEpsilon": 1e-8, "maxGradNorm": 1.0,
                "precision": precision, "seed": 1},
            "evaluation": {"evalSteps": null, "perDeviceEvalBatchSize": 1, "earlyStoppingPatience": null},
            "parallelism": {"numNodes": 1, "numProcPerNode": 1, "threadsPerProc": 1, "microBatchesPerStep": 1, "device": "cpu"},
            "checkpoint": {"saveSteps": null, "saveTotalLimit": 1},
            "failure": {"maxRestarts": 0, "heartbeatTimeoutSeconds": 10, "stallTimeoutSeconds": 900, "maxNonFiniteSteps": 1, "rendezvousTimeoutSeconds": 60},
            "output": {"mergeAdapter": false},
        }))
        .expect("a job")
    };
    let lora = json!({"lora": {"r": 8, "loraAlpha": 16.0, "loraDropout": 0.0, "targetModules": ["q_proj"], "useRslora": false}});
    let base = parameters::base(&model);
    let trained = 2 * 8 * (48 + 48);
    let stored = 4 * base;
    let of = |job: &TrainerConfig, bf16| memory::estimate(&model, stored, job, bf16).expect("estimated");
    let fp32 = of(&job("fp32", lora.clone()), Bf16::Direct);
    // The matrices of queries, keys and values have room for the adapters: 8 rows and 8 columns more in each of two layers.
    let (rows, columns) = (model.query_size() + 2 * model.key_value_size(), model.hidden_size);
    let room = 2 * ((rows + 8) * (columns + 8) - rows * columns) as u64;
    let vectors =
        model.expected_tensors().iter().filter(|tensor| tensor.shape.len() == 1).map(|tensor| tensor.shape[0] as u64).sum::<u64>();
    assert_eq!((fp32.weights, fp32.gradients, fp32.optimizer), (4 * (base - vectors + room), 4 * trained, 12 * trained));
    let bf16 = of(&job("bf16", lora.clone()), Bf16::Direct);
    assert_eq!(2 * bf16.weights, fp32.weights);
    assert!(bf16.activations < fp32.activations && bf16.total < fp32.total);
    let widened = of(&job("bf16", lora), Bf16::Widened);
    assert!(widened.activations > bf16.activations && widened.total > bf16.total, "{widened:?} {bf16:?}");
    let full = of(&job("fp32", json!("full")), Bf16::Direct);
    assert_eq!((full.weights, full.gradients, full.optimizer), (0, 4 * base, 12 * base));
    assert_eq!(of(&job("bf16", json!("full")), Bf16::Direct).weights, 2 * base);
    assert!(full.total >= full.weights + full.gradients + full.optimizer + full.activations);
    assert!(full.total >= full.loading);
}
