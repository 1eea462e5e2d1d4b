#![expect(clippy::type_complexity, reason = "tables of cases")]

use super::{day, is_held_out, prepare, tokenise};
use crate::{Error, FlatBatch, TokenCache};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use temper_artifact::ModelSource;
use temper_contract::config::{ChatTemplate, DatasetFormat, ExcessLengthStrategy, Validation};
use temper_contract::report::PrepareReport;
use temper_contract::request::EvaluateRequest;
use temper_contract::{Event, TrainerConfig, layout};

/// A job in a folder of its own, with a tiny model: ids are bytes, `<|end|>` is 256 and ends a text.
struct Job {
    folder: tempfile::TempDir,
    config: TrainerConfig,
    events: Vec<Event>,
}

const TEMPLATE: &str =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

impl Job {
    fn new(rows: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_model(&folder.path().join("model"));
        fs::write(folder.path().join("rows.jsonl"), rows.join("\n")).expect("a file");
        let path = |name: &str| folder.path().join(name);
        let config = json!({
            "jobName": "job", "runFolder": path("run"), "checkpointFolder": path("run/checkpoints"), "outputFolder": path("run/output"),
            "baseModel": {"path": path("model"), "uri": "file:///model"},
            "dataset": {"path": path("rows.jsonl"), "format": "messages", "validation": null, "chatTemplate": "tokenizerDefault", "maxLength": 64,
                "excessLengthStrategy": "truncate", "packing": false, "seed": 1,
                "filters": {"minLength": null, "maxLength": null, "exactDeduplication": true, "includePattern": null, "excludePattern": null, "maxRejectedFraction": 0.5}},
            "method": {"lora": {"r": 2, "loraAlpha": 4.0, "loraDropout": 0.0, "targetModules": ["q_proj"], "useRslora": false}},
            "hyperparameters": {"numTrainEpochs": 1.0, "maxSteps": null, "perDeviceTrainBatchSize": 2, "learningRate": 1e-3, "lrSchedulerType": "constant", "warmupSteps": 0,
                "weightDecay": 0.0, "adamBeta1": 0.9, "adamBeta2": 0.999, "adamEpsilon": 1e-8, "maxGradNorm": 1.0, "precision": "fp32", "seed": 1},
            "evaluation": {"evalSteps": null, "perDeviceEvalBatchSize": 2, "earlyStoppingPatience": null},
            "parallelism": {"numNodes": 1, "numProcPerNode": 1, "threadsPerProc": 1, "microBatchesPerStep": 1, "device": "cpu"},
            "checkpoint": {"saveSteps": null, "saveTotalLimit": 1},
            "failure": {"maxRestarts": 0, "heartbeatTimeoutSeconds": 10, "stallTimeoutSeconds": 10, "maxNonFiniteSteps": 1, "rendezvousTimeoutSeconds": 10},
            "output": {"mergeAdapter": false},
        });
        let config = serde_json::from_value(config).expect("the contract's fields");
        Self { folder, config, events: Vec::new() }
    }

    fn prepare(&mut self) -> Result<PrepareReport, Error> {
        self.events.clear();
        let source = ModelSource::open(&self.config.base_model.path).expect("a model");
        prepare(&self.config, &source, &mut |event| self.events.push(event))
    }

    fn cache(&self, name: &str) -> TokenCache {
        TokenCache::open(&self.config.run_folder.join(name)).expect("a cache")
    }

    fn reused(&self) -> bool {
        matches!(self.events.last(), Some(Event::Prepared { reused: true, .. }))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A Llama of a few numbers with a tokenizer of bytes.
fn write_model(folder: &Path) {
    fs::create_dir(folder).expect("a folder");
    let write = |name: &str, value: Value| fs::write(folder.join(name), value.to_string()).expect("a file");
    write(
        "config.json",
        json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 1, "vocab_size": 257, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 64, "tie_word_embeddings": true,
            "hidden_act": "silu", "bos_token_id": null, "eos_token_id": 256}),
    );
    let vocab: serde_json::Map<String, Value> =
        crate::testing::byte_letters().into_iter().enumerate().map(|(id, text)| (text, json!(id))).collect();
    write(
        "tokenizer.json",
        json!({"version": "1.0", "added_tokens": [{"id": 256, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
            "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "post_processor": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "vocab": vocab, "merges": []}}),
    );
    write("tokenizer_config.json", json!({"eos_token": "<|end|>", "chat_template": TEMPLATE}));
    let shapes: [(&str, &[u64]); 11] = [
        ("model.embed_tokens.weight", &[257, 4]),
        ("model.layers.0.input_layernorm.weight", &[4]),
        ("model.layers.0.mlp.down_proj.weight", &[4, 6]),
        ("model.layers.0.mlp.gate_proj.weight", &[6, 4]),
        ("model.layers.0.mlp.up_proj.weight", &[6, 4]),
        ("model.layers.0.post_attention_layernorm.weight", &[4]),
        ("model.layers.0.self_attn.k_proj.weight", &[2, 4]),
        ("model.layers.0.self_attn.o_proj.weight", &[4, 4]),
        ("model.layers.0.self_attn.q_proj.weight", &[4, 4]),
        ("model.layers.0.self_attn.v_proj.weight", &[2, 4]),
        ("model.norm.weight", &[4]),
    ];
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let start = end;
        end += 4 * shape.iter().product::<u64>();
        header.insert(name.to_owned(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
    }
    let header = Value::Object(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + end as usize, 0);
    fs::write(folder.join("model.safetensors"), bytes).expect("a file");
}

fn row(question: &str, answer: &str) -> String {
    json!({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}).to_string()
}

fn rows(count: usize) -> Vec<String> {
    (0..count).map(|number| row(&format!("q{number}"), &format!("a{number}"))).collect()
}

#[test]
fn rows_become_batches_and_every_other_row_a_reason() {
    let mut lines = rows(6);
    lines.extend([row("q0", " a0 "), "{".to_owned(), String::new(), json!({"messages": []}).to_string(), row(&"long ".repeat(20), "x")]);
    let mut job = Job::new(&lines);
    let report = job.prepare().expect("enough good rows");
    let counts = &report.counts;
    assert_eq!((counts.rows, counts.accepted, counts.validation, counts.truncated, counts.examples), (10, 6, 0, 0, 6));
    let rejected: Vec<(&str, u64, &str)> =
        counts.rejected.iter().map(|(reason, rows)| (reason.as_str(), rows.count, rows.first[0].as_str())).collect();
    assert_eq!(
        rejected,
        [
            ("Duplicate", 1, "rows.jsonl:7"),
            ("EmptyMessages", 1, "rows.jsonl:10"),
            ("InvalidJson", 1, "rows.jsonl:8"),
            ("NoTargets", 1, "rows.jsonl:11")
        ]
    );
    assert_eq!(report.parameters.trainable, 2 * (4 + 4));
    assert_eq!(report.chat_template_digest, Some(temper_artifact::digest::bytes(TEMPLATE.as_bytes())));
    let cache = job.cache(layout::TRAIN_CACHE);
    let batch = FlatBatch::collate(&cache, &[0]);
    let text: Vec<i64> =
        "user: q0".bytes().map(i64::from).chain([256]).chain("assistant: a0".bytes().map(i64::from)).chain([256]).collect();
    assert_eq!((batch.token_ids, batch.target_ids), (text, vec![97, 48, 256]));
    assert_eq!(batch.target_rows, [19, 20, 21]);
    assert_eq!((counts.tokens, counts.target_tokens), (6 * 23, 6 * 3));
    assert!(!job.config.run_folder.join(layout::VALIDATION_CACHE).exists());
}

#[test]
fn a_cache_is_used_again_until_something_changes() {
    let mut job = Job::new(&rows(30));
    job.config.dataset.validation = Some(Validation::Split(0.5));
    let first = job.prepare().expect("good rows");
    assert!(!job.reused());
    let second = job.prepare().expect("good rows");
    assert!(job.reused());
    assert_eq!((first.counts, first.digest.clone()), (second.counts, second.digest));
    let changes: [(&str, &dyn Fn(&mut Job)); 7] = [
        ("max length", &|job| job.config.dataset.max_length = 32),
        ("seed of the split", &|job| job.config.dataset.seed = 2),
        ("template", &|job| job.config.dataset.chat_template = ChatTemplate::Inline(TEMPLATE.replace(": ", "> "))),
        ("packing", &|job| job.config.dataset.packing = true),
        ("data", &|job| fs::write(job.path("rows.jsonl"), rows(31).join("\n")).expect("a file")),
        ("tokenizer", &|job| {
            let path = job.path("model/tokenizer.json");
            fs::write(&path, fs::read_to_string(&path).expect("a file") + "\n").expect("a file");
        }),
        ("a special token in another file", &|job| {
            let config = json!({"eos_token": "<|end|>", "bos_token": "a", "chat_template": TEMPLATE});
            fs::write(job.path("model/tokenizer_config.json"), config.to_string()).expect("a file");
        }),
    ];
    let mut digests = BTreeSet::from([first.digest]);
    for (what, change) in changes {
        change(&mut job);
        assert!(digests.insert(job.prepare().expect("good rows").digest), "{what} changes nothing");
        assert!(!job.reused(), "{what}");
        job.prepare().expect("good rows");
        assert!(job.reused(), "{what}");
    }
    // Damage that sizes do not show.
    let tokens = job.config.run_folder.join(layout::VALIDATION_CACHE).join("tokens.u32");
    let mut bytes = fs::read(&tokens).expect("a file");
    bytes[0] ^= 1;
    fs::write(&tokens, bytes).expect("a file");
    job.prepare().expect("good rows");
    assert!(!job.reused());
    fs::remove_file(job.config.run_folder.join(layout::TRAIN_CACHE).join("manifest.json")).expect("a file");
    job.prepare().expect("good rows");
    assert!(!job.reused());
    // Where the data lies is nothing that tokens depend on.
    fs::create_dir(job.path("moved")).expect("a folder");
    fs::rename(job.path("rows.jsonl"), job.path("moved/rows.jsonl")).expect("moved");
    job.config.dataset.path = job.path("moved");
    job.prepare().expect("good rows");
    assert!(job.reused());
}

#[test]
fn a_template_writes_the_runs_own_date() {
    let mut job = Job::new(&rows(3));
    let tokens = |job: &Job| FlatBatch::collate(&job.cache(layout::TRAIN_CACHE), &[0, 1, 2]).token_ids;
    job.prepare().expect("good rows");
    let kept = job.config.run_folder.join(day::FILE);
    assert!(!kept.exists(), "this template writes no date");
    // By the clock, no two renderings would be the same.
    job.config.dataset.chat_template = ChatTemplate::Inline(format!("{{{{ strftime_now('%Y-%m-%d %S.%f') }}}} {TEMPLATE}"));
    let first = job.prepare().expect("good rows");
    let before = tokens(&job);
    fs::remove_dir_all(job.config.run_folder.join(layout::TRAIN_CACHE)).expect("removed");
    let again = job.prepare().expect("good rows");
    assert!(!job.reused() && again.digest == first.digest && again.counts == first.counts);
    assert_eq!(tokens(&job), before);
    // A run that began on another day.
    fs::write(&kept, "2024-07-26\n").expect("a file");
    assert_ne!(job.prepare().expect("good rows").digest, first.digest);
    let date: Vec<i64> = "2024-07-26 00.0 user".bytes().map(i64::from).collect();
    assert_eq!(tokens(&job)[..date.len()], date);
    fs::write(&kept, "tomorrow").expect("a file");
    let text = job.prepare().expect_err("no day").to_string();
    assert!(["failed to date the chat template", day::FILE, "\"tomorrow\"", "remove it"].iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn a_text_ends_as_the_model_says_or_a_warning_says_that_it_does_not() {
    let mut job = Job::new(&[json!({"text": "ab"}).to_string()]);
    job.config.dataset.format = DatasetFormat::Text;
    fs::write(job.path("model/tokenizer_config.json"), "{}").expect("a file");
    let tokens = |job: &Job| FlatBatch::collate(&job.cache(layout::TRAIN_CACHE), &[0]).token_ids;
    let warned = |job: &Job| job.events.iter().any(|event| matches!(event, Event::Warning { message } if message.contains("eos_token_id")));
    let first = job.prepare().expect("a good row");
    assert_eq!((tokens(&job), warned(&job)), (vec![97, 98, 256], false));
    let path = job.path("model/config.json");
    let config = fs::read_to_string(&path).expect("a file").replace("\"eos_token_id\":256", "\"eos_token_id\":null");
    fs::write(&path, config).expect("a file");
    assert_ne!(job.prepare().expect("a good row").digest, first.digest);
    assert_eq!((tokens(&job), warned(&job)), (vec![97, 98], true));
}

#[test]
fn the_split_goes_by_content_not_by_order() {
    let held_out = |lines: &[String], seed: u64| -> BTreeSet<Vec<u32>> {
        let mut job = Job::new(lines);
        job.config.dataset.validation = Some(Validation::Split(0.3));
        job.config.dataset.seed = seed;
        let counts = job.prepare().expect("good rows").counts;
        assert_eq!(counts.accepted + counts.validation, 40);
        let cache = job.cache(layout::VALIDATION_CACHE);
        assert_eq!((cache.len() as u64, cache.tokens()), (counts.validation, counts.validation_tokens));
        (0..cache.len()).map(|index| cache.example(index).segments().next().expect("one").ids.to_vec()).collect()
    };
    let mut lines = rows(40);
    let first = held_out(&lines, 1);
    assert!((5..20).contains(&first.len()), "{}", first.len());
    lines.reverse();
    assert_eq!(held_out(&lines, 1), first);
    assert_ne!(held_out(&lines, 2), first);
}

#[test]
fn validation_rows_of_their_own_are_read_too() {
    let mut job = Job::new(&rows(5));
    fs::write(job.path("held.jsonl"), [row("v", "w"), "?".to_owned()].join("\n")).expect("a file");
    job.config.dataset.validation = Some(Validation::Path(job.path("held.jsonl")));
    let counts = job.prepare().expect("good rows").counts;
    assert_eq!(
        (counts.rows, counts.accepted, counts.validation, counts.rejected["InvalidJson"].first[0].as_str()),
        (7, 5, 1, "held.jsonl:2")
    );
    assert_eq!(job.cache(layout::VALIDATION_CACHE).len(), 1);
}

#[test]
fn packing_fills_rows() {
    let mut job = Job::new(&rows(7));
    job.config.dataset.packing = true;
    let counts = job.prepare().expect("good rows").counts;
    assert_eq!((counts.accepted, counts.examples), (7, 4));
    let cache = job.cache(layout::TRAIN_CACHE);
    let batch = FlatBatch::collate(&cache, &[0]);
    assert_eq!(batch.sequence_lengths, [23, 23]);
    assert_eq!((batch.position_ids[22], batch.position_ids[23]), (22, 0));
}

#[test]
fn tools_count_as_memory_like_text() {
    let tools = json!([{"name": "x".repeat(1 << 20)}]);
    let with_tools = |number: usize| {
        let messages = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": format!("a{number}")}]);
        json!({"messages": messages, "tools": tools}).to_string()
    };
    let mut job = Job::new(&(0..6).map(with_tools).collect::<Vec<_>>());
    assert_eq!(job.prepare().expect("good rows").counts.accepted, 6);
    let is_block = |event: &&Event| matches!(event, Event::Preparing { stage, .. } if stage == "tokenising");
    assert_eq!(job.events.iter().filter(is_block).count(), 2, "rows of 6 MiB are more than one block");
}

#[test]
fn too_many_rejected_rows_fail_with_a_table() {
    let mut lines = rows(3);
    lines.extend(["{".to_owned(), "[".to_owned(), "1".to_owned(), "{".to_owned()]);
    let text = Job::new(&lines).prepare().expect_err("4 of 7").to_string();
    for part in
        ["4 of 7 rows (57.1 %)", "maxRejectedFraction is 0.5", "InvalidJson", "3  at rows.jsonl:4, rows.jsonl:5, rows.jsonl:7", "WrongType"]
    {
        assert!(text.contains(part), "{text}");
    }
    let text = Job::new(&["{}".to_owned()]).prepare().expect_err("all").to_string();
    assert!(text.contains("all 1 rows are rejected; check that spec.dataset.format"), "{text}");
    let text = Job::new(&[" ".to_owned(), String::new()]).prepare().expect_err("none").to_string();
    assert!(text.contains("it holds no row"), "{text}");
}

#[test]
fn other_failures_say_what_to_do() {
    let failure = |change: &dyn Fn(&mut Job)| {
        let mut job = Job::new(&rows(3));
        change(&mut job);
        job.prepare().expect_err("it fails").to_string()
    };
    let table: [(&dyn Fn(&mut Job), &[&str]); 6] = [
        (&|job| job.config.dataset.path = job.path("gone"), &["gone", "spec.dataset.storageUri"]),
        (
            &|job| {
                job.config.dataset.max_length = 9;
                job.config.dataset.excess_length_strategy = ExcessLengthStrategy::Fail;
            },
            &["rows.jsonl:1", "23 tokens", "maxLength is 9", "truncate or drop"],
        ),
        (&|job| job.config.dataset.chat_template = ChatTemplate::Inline("\n{% iff %}".into()), &["compile", "line 2"]),
        (
            &|job| job.config.dataset.chat_template = ChatTemplate::Inline("{{ raise_exception('no') }}".into()),
            &["all 3 rows", "TemplateFailed", "rows.jsonl:1", "line 1", "the template says: no"],
        ),
        (&|job| job.config.dataset.validation = Some(Validation::Split(1.0)), &["every row went to validation"]),
        // What a structure's fields in order look like.
        (
            &|job| fs::write(job.path("model/tokenizer.json"), r#"[[], {"vocab": {}}]"#).expect("a file"),
            &["tokenizer.json", "is no object"],
        ),
    ];
    for (change, parts) in table {
        let text = failure(change);
        for part in parts {
            assert!(text.contains(part), "{text} does not contain {part}");
        }
    }
}

#[test]
fn an_evaluation_uses_every_good_row() {
    let job = Job::new(&[row("a", "b"), "{".to_owned(), "{".to_owned(), row("a", "b")]);
    let source = ModelSource::open(&job.config.base_model.path).expect("a model");
    let request: EvaluateRequest = serde_json::from_value(json!({
        "model": job.path("model"), "data": job.path("rows.jsonl"), "format": "messages", "chatTemplate": "tokenizerDefault", "maxLength": 64,
        "excessLengthStrategy": "truncate", "batchSize": 1, "compute": {"precision": "fp32", "device": "cpu", "threads": 1},
    }))
    .expect("the contract's fields");
    let counts = tokenise(&request, &source, &job.path("cache"), &mut |_| {}).expect("good rows");
    assert_eq!((counts.accepted, counts.rejected_total()), (2, 2));
    assert_eq!(TokenCache::open(&job.path("cache")).expect("a cache").len(), 2);
}

proptest! {
    #[test]
    fn about_the_right_share_is_held_out(seed: u64, fraction in 0.0f64..=1.0) {
        let held = (0..2000u64).filter(|&number| {
            let mut content = [0; 16];
            content[..8].copy_from_slice(&crate::random::mix(number + 1).to_le_bytes());
            is_held_out(&content, seed, fraction)
        });
        prop_assert!((held.count() as f64 / 2000.0 - fraction).abs() < 0.07);
    }

    #[test]
    fn nothing_and_everything_are_exact(content: [u8; 16], seed: u64) {
        prop_assert!(!is_held_out(&content, seed, 0.0));
        prop_assert!(is_held_out(&content, seed, 1.0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn garbage_files_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut job = Job::new(&rows(1));
        fs::write(job.path("rows.jsonl"), bytes).expect("a file");
        prop_assert!(job.prepare().is_err());
    }
}
