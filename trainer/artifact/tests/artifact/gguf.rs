use crate::model_files::{Gguf, TENSORS, values};
use std::path::Path;
use temper_artifact::{Dtype, Error, Family, ModelSource, RopeScaling, TokenizerSource};

fn open(gguf: &Gguf) -> Result<ModelSource, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, gguf.bytes()).expect("written");
    ModelSource::open(&path)
}

fn refused(gguf: &Gguf) -> String {
    open(gguf).map(|source| source.config().clone()).expect_err("refused").to_string()
}

#[test]
fn a_llama_file_is_read_under_hugging_faces_names() {
    for version in [2, 3] {
        let source = open(&Gguf { version, ..Gguf::llama() }).expect("opens");
        let config = source.config();
        assert_eq!((config.family, config.head_dim, config.vocab_size, config.tie_word_embeddings), (Family::Llama, 4, 6, true));
        assert_eq!((config.rms_norm_eps, config.rope_theta, config.max_position_embeddings), (1e-5, 10_000.0, 64));
        assert_eq!(config.eos_token_ids, [2]);
        assert_eq!(config.raw["architectures"][0], "LlamaForCausalLM");
        for (number, (name, shape)) in TENSORS.iter().enumerate() {
            let tensor = source.tensor(name).expect("there");
            let info = tensor.info();
            assert_eq!((info.name.as_str(), info.shape.as_slice(), info.dtype), (*name, *shape, Dtype::F32));
            let mut expected = values(number, info.elements());
            if name.contains("q_proj") || name.contains("k_proj") {
                // llama.cpp stores rows 0 2 1 3 of a head of four.
                let rows: Vec<Vec<f32>> = expected.chunks(8).map(<[f32]>::to_vec).collect();
                expected = rows.chunks(4).flat_map(|head| [0, 2, 1, 3].map(|row: usize| head[row].clone())).flatten().collect();
                assert!(tensor.bytes().is_none());
            } else {
                assert_eq!(tensor.bytes().map(<[u8]>::len), Some(4 * info.elements()));
            }
            assert_eq!(tensor.to_f32(), expected, "{name}");
        }
        assert!(source.tensor("lm_head.weight").is_err());
    }
}

#[test]
fn the_tokenizer_comes_with_it() {
    let source = open(&Gguf::llama()).expect("opens");
    let tokenizer = source.tokenizer().expect("has one");
    assert_eq!(tokenizer.chat_template(), Some("{{ messages }}"));
    assert_eq!(tokenizer.special_token("eos_token"), Some(("<end>", 2)));
    let TokenizerSource::Gguf(tokenizer) = tokenizer else { panic!("from GGUF") };
    assert_eq!((tokenizer.model.as_str(), tokenizer.pre.as_deref(), tokenizer.tokens.len()), ("gpt2", Some("smollm"), 6));
    assert_eq!((tokenizer.merges.as_slice(), tokenizer.add_bos, tokenizer.bos), (["a b".to_owned()].as_slice(), None, None));

    let mut longer = Gguf::llama();
    longer.set_strings("tokenizer.ggml.tokens", &["a", "b", "<end>", "c", "d", "ab", "one-too-many"]);
    let message = open(&longer).expect("opens").tokenizer().expect_err("refused").to_string();
    assert!(message.contains("7 tokens") && message.contains("only 6 rows") && message.contains("one-too-many"), "{message}");
}

#[test]
fn rotary_factors_become_llama_3_scaling_or_stay_factors() {
    let with = |factors: &[f32; 2]| {
        let mut gguf = Gguf::llama();
        gguf.tensors.push(("rope_freqs.weight".to_owned(), vec![2], 0, factors.iter().flat_map(|factor| factor.to_le_bytes()).collect()));
        open(&gguf).map(|source| source.config().clone())
    };
    // With theta 10000 and a head of 4, the wavelengths are 6.3 and 628: both far below 8192 / 4, so that no factor but 1 fits.
    assert_eq!(with(&[1.0, 1.0]).expect("opens").rope_scaling, RopeScaling::None);
    let odd = with(&[1.0, 3.0]).expect("opens");
    assert_eq!(odd.rope_scaling, RopeScaling::FrequencyFactors(vec![1.0, 3.0]));
    assert_eq!(odd.rope_scaling.frequency_divisors(odd.rope_theta, 4), [1.0, 3.0]);
    let path = Path::new("odd.gguf");
    assert!(with(&[1.0, 1.0]).expect("opens").check_saves_whole(path).is_ok());
    let refused = odd.check_saves_whole(path).expect_err("config.json cannot say them").to_string();
    for part in ["odd.gguf", "rope_freqs.weight is [1.0, 3.0]", "config.json", "mergeAdapter: false"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(with(&[1.0, f32::NAN]).is_err());

    // With theta 5e5 and a head of 128 they span all three bands.
    let scaling = RopeScaling::Llama3 { factor: 32.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 8192 };
    let divisors = scaling.frequency_divisors(5e5, 128);
    assert!(divisors[0] == 1.0 && divisors[63] == 32.0 && divisors.iter().any(|&divisor| divisor > 1.5 && divisor < 30.0));
}

#[test]
fn tensors_begin_where_the_alignment_says() {
    for alignment in [8usize, 64, 4096] {
        let mut gguf = Gguf { alignment, ..Gguf::llama() };
        gguf.set_u32("general.alignment", alignment as u32);
        let source = open(&gguf).expect("opens");
        assert_eq!(source.tensor("model.norm.weight").expect("there").to_f32(), values(10, 8));
    }
    for wrong in [0, 24] {
        let mut gguf = Gguf::llama();
        gguf.set_u32("general.alignment", wrong);
        assert!(refused(&gguf).contains("a power of two"));
    }
}

#[test]
fn metadata_decides_the_rest() {
    let mut gguf = Gguf::llama();
    gguf.set_string("llama.rope.scaling.type", "linear");
    gguf.set_f32("llama.rope.scaling.factor", 4.0);
    gguf.set_f32("llama.rope.freq_base", 5e5);
    gguf.add_f32("output.weight", &[6, 8], 20);
    let source = open(&gguf).expect("opens");
    assert_eq!((&source.config().rope_scaling, source.config().rope_theta), (&RopeScaling::Linear { factor: 4.0 }, 5e5));
    assert!(!source.config().tie_word_embeddings);
    assert_eq!(source.tensor("lm_head.weight").expect("there").to_f32(), values(20, 48));
    assert_eq!(source.config().raw["rope_parameters"]["rope_type"], "linear");

    let mut gguf = Gguf::llama();
    gguf.set_u32("llama.attention.sliding_window", 16);
    let source = open(&gguf).expect("opens");
    assert_eq!((source.config().family, source.config().layer_window(0)), (Family::Mistral, Some(16)));
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let change = |change: &dyn Fn(&mut Gguf)| {
        let mut gguf = Gguf::llama();
        change(&mut gguf);
        refused(&gguf)
    };
    let cases: [(String, &[&str]); 13] = [
        (change(&|gguf| gguf.set_string("general.architecture", "gemma")), &["general.architecture", "gemma", "qwen3"]),
        (change(&|gguf| gguf.remove("llama.block_count")), &["llama.block_count", "missing"]),
        (change(&|gguf| gguf.set_u32("llama.expert_count", 8)), &["llama.expert_count", "8", "experts"]),
        (change(&|gguf| gguf.set_string("llama.rope.scaling.type", "yarn")), &["llama.rope.scaling.type", "yarn", "linear"]),
        (change(&|gguf| gguf.set_u32("llama.rope.dimension_count", 2)), &["llama.rope.dimension_count", "2", "part of a head"]),
        (change(&|gguf| gguf.set_u32("split.count", 3)), &["split.count", "3", "merge"]),
        (change(&|gguf| gguf.tensors[5].2 = 10), &["blk.0.ffn_gate.weight", "Q2_K", "Q4_K"]),
        (change(&|gguf| gguf.tensors[5].2 = 999), &["blk.0.ffn_gate.weight", "number 999"]),
        (change(&|gguf| gguf.tensors[5].2 = 2), &["blk.0.ffn_gate.weight", "whole blocks of 32"]),
        (change(&|gguf| drop(gguf.tensors.remove(5))), &["model.layers.0.mlp.gate_proj.weight", "missing"]),
        (change(&|gguf| gguf.tensors[5].1 = vec![11, 8]), &["model.layers.0.mlp.gate_proj.weight", "[11, 8]", "[12, 8]"]),
        (change(&|gguf| gguf.add_f32("blk.0.attn_v.bias", &[4], 0)), &["model.layers.0.self_attn.v_proj.bias", "does not call for it"]),
        // A norm of BitNet's, in a file that says it is Llama's.
        (change(&|gguf| gguf.add_f32("blk.0.attn_sub_norm.weight", &[8], 0)), &["blk.0.attn_sub_norm.weight", "does not call for it"]),
    ];
    for (message, parts) in cases {
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    }
    let version = refused(&Gguf { version: 1, ..Gguf::llama() });
    assert!(version.contains("version is 1"), "{version}");
    let big = refused(&Gguf { version: 3u32.swap_bytes(), ..Gguf::llama() });
    assert!(big.contains("big-endian"), "{big}");
}

#[test]
fn claims_that_the_file_cannot_hold_are_refused() {
    let huge = |offset: usize| {
        let mut bytes = Gguf::llama().bytes();
        bytes[offset..offset + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("huge.gguf");
        std::fs::write(&path, bytes).expect("written");
        ModelSource::open(&path).map(|_| ()).expect_err("refused").to_string()
    };
    // The counts of tensors and of pairs, and the length of the first key.
    for offset in [8, 16, 24] {
        assert!(huge(offset).contains("it may be cut short"), "{}", huge(offset));
    }
    let mut gguf = Gguf::llama();
    let list = [4u32.to_le_bytes().as_slice(), &(1u64 << 60).to_le_bytes()].concat();
    gguf.set("a.list", 9, &list);
    assert!(refused(&gguf).contains("a.list claims 1152921504606846976 list elements"));
    let mut deep = Vec::new();
    for _ in 0..1000 {
        deep.extend(9u32.to_le_bytes());
        deep.extend(1u64.to_le_bytes());
    }
    let mut gguf = Gguf::llama();
    gguf.set("a.list", 9, &deep);
    assert!(refused(&gguf).contains("nests lists"));
}
