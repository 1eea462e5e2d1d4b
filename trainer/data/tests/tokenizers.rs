//! Tokenizers of GGUF files beside llama.cpp: the same ids.

mod reference;

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use temper_artifact::{GgufTokenizer, ModelSource, TokenizerSource};
use temper_data::Tokenizer;

/// What `tests/reference/make_tokenizer_goldens.py` prints.
#[derive(Deserialize)]
struct Goldens {
    texts: Vec<String>,
    more: More,
    bpe: BTreeMap<String, Ids>,
    spm: Spm,
}

/// What SmolLM2's vocabulary lacks for every rule to show.
#[derive(Deserialize)]
struct More {
    tokens: Vec<String>,
    merges: Vec<String>,
}

#[derive(Deserialize)]
struct Ids {
    plain: Vec<Vec<u32>>,
    added: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Spm {
    texts: Vec<String>,
    tokens: Vec<String>,
    scores: Vec<f32>,
    types: Vec<i32>,
    plain: Vec<Vec<u32>>,
    added: Vec<Vec<u32>>,
}

fn goldens() -> &'static Goldens {
    static GOLDENS: OnceLock<Goldens> = OnceLock::new();
    GOLDENS.get_or_init(|| {
        let printed = reference::run("make_tokenizer_goldens.py", [reference::variable("TEMPER_SMOLLM2")]);
        serde_json::from_slice(&printed).expect("sound goldens")
    })
}

fn smollm2() -> GgufTokenizer {
    let source = ModelSource::open(&reference::variable("TEMPER_SMOLLM2")).expect("SmolLM2").tokenizer().expect("its tokenizer");
    let TokenizerSource::Gguf(metadata) = source else { panic!("a GGUF file") };
    metadata
}

/// A small SentencePiece vocabulary.
fn sentencepiece() -> GgufTokenizer {
    let Spm { tokens, scores, types, .. } = &goldens().spm;
    GgufTokenizer {
        model: "llama".to_owned(),
        pre: None,
        tokens: tokens.clone(),
        scores: scores.clone(),
        token_types: types.clone(),
        merges: Vec::new(),
        bos: Some(1),
        eos: Some(2),
        unk: Some(0),
        eot: None,
        add_space_prefix: None,
        add_bos: None,
        ..smollm2()
    }
}

fn compare(name: &str, tokenizer: &Tokenizer, texts: &[String], plain: &[Vec<u32>], added: &[Vec<u32>]) {
    let mut different = Vec::new();
    for (text, (plain, added)) in texts.iter().zip(plain.iter().zip(added)) {
        // llama.cpp adds nothing to an empty text.
        for (add_special, expected) in [(false, plain), (true, added)] {
            if text.is_empty() && add_special {
                continue;
            }
            let ids = tokenizer.encode(text, add_special).expect("any text");
            if ids != *expected {
                different.push(format!("{name} {add_special} {text:?}:\n  {ids:?}\n  {expected:?}"));
            }
            let encoding = tokenizer.encode_with_spans(text, add_special).expect("any text");
            assert_eq!(encoding.ids, ids);
            let mut end = 0;
            for span in encoding.spans.into_iter().flatten() {
                assert!(span.start <= span.end && span.end <= text.len() && text.is_char_boundary(span.start), "{name} {text:?} {span:?}");
                assert!(span.start <= end, "{name} {text:?}: a gap before {span:?}");
                end = end.max(span.end);
            }
            assert_eq!(end, text.len(), "{name} {text:?}");
        }
    }
    assert!(different.is_empty(), "{} of {} differ:\n{}", different.len(), 2 * texts.len(), different.join("\n"));
}

#[test]
fn byte_level_bpe_gives_the_ids_of_llama_cpp() {
    let goldens = goldens();
    assert!(goldens.bpe.len() >= 33 && goldens.texts.len() > 300);
    let one_of_each_rule = ["default", "gpt-2", "smollm", "llama-bpe", "smaug-bpe", "qwen2", "tekken"];
    let different: BTreeSet<_> = one_of_each_rule.iter().map(|name| (&goldens.bpe[*name].plain, &goldens.bpe[*name].added)).collect();
    assert_eq!(different.len(), one_of_each_rule.len(), "each set of rules shows in the ids");
    let mut base = smollm2();
    base.token_types.extend(goldens.more.tokens.iter().map(|_| 1));
    base.tokens.extend_from_slice(&goldens.more.tokens);
    base.merges.extend_from_slice(&goldens.more.merges);
    for (pre, ids) in &goldens.bpe {
        // The files that llama.cpp read say nothing of adding tokens, so each name's own rule shows.
        let metadata = GgufTokenizer { pre: Some(pre.clone()), add_bos: None, add_eos: None, ..base.clone() };
        let tokenizer = Tokenizer::open(&TokenizerSource::Gguf(metadata)).expect("a tokenizer");
        compare(pre, &tokenizer, &goldens.texts, &ids.plain, &ids.added);
    }
}

#[test]
fn sentencepiece_gives_the_ids_of_llama_cpp() {
    let Spm { texts, plain, added, .. } = &goldens().spm;
    let tokenizer = Tokenizer::open(&TokenizerSource::Gguf(sentencepiece())).expect("a tokenizer");
    compare("spm", &tokenizer, texts, plain, added);
    for (text, ids) in texts.iter().zip(plain).filter(|(text, _)| !text.contains(['[', '<', '\u{2581}'])) {
        assert_eq!(tokenizer.decode(ids, false), *text);
    }
}

#[test]
fn text_comes_back_one_id_at_a_time() {
    let tokenizer = Tokenizer::open(&TokenizerSource::Gguf(smollm2())).expect("a tokenizer");
    for text in &goldens().texts {
        let ids = tokenizer.encode(text, false).expect("any text");
        assert_eq!(tokenizer.decode(&ids, false), *text);
        let mut detokenizer = tokenizer.detokenizer(false);
        let mut pieces: Vec<String> = ids.iter().map(|&id| detokenizer.push(id)).collect();
        assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{pieces:?}");
        pieces.push(detokenizer.finish());
        assert_eq!(pieces.concat(), *text);
    }
}

#[test]
fn written_files_give_the_same_ids_in_transformers() {
    let goldens = goldens();
    for (name, metadata, texts) in [("bpe", smollm2(), &goldens.texts), ("spm", sentencepiece(), &goldens.spm.texts)] {
        let folder = tempfile::tempdir().expect("a folder");
        temper_data::write_tokenizer_files(&metadata, folder.path()).expect("written");
        let listed = folder.path().join("texts.json");
        std::fs::write(&listed, serde_json::to_string(texts).expect("texts")).expect("written");
        let printed = reference::run("token_ids.py", [folder.path(), &listed]);
        let theirs: Vec<Vec<u32>> = serde_json::from_slice(&printed).expect("ids");
        let tokenizer = Tokenizer::open(&TokenizerSource::Gguf(metadata)).expect("a tokenizer");
        assert_eq!(texts.len(), theirs.len());
        for (text, theirs) in texts.iter().zip(theirs) {
            assert_eq!(tokenizer.encode(text, false).expect("any text"), theirs, "{name} {text:?}");
        }
    }
}
