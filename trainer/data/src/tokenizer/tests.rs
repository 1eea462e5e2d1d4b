use super::Tokenizer;
use crate::testing::{byte_tokenizer, special};
use proptest::prelude::*;
use temper_artifact::{GgufTokenizer, TokenizerSource};

fn gguf(change: impl FnOnce(&mut GgufTokenizer)) -> Result<Tokenizer, crate::Error> {
    let TokenizerSource::Gguf(mut metadata) = byte_tokenizer(true, None) else { panic!("it is from a GGUF file") };
    change(&mut metadata);
    Tokenizer::open(&TokenizerSource::Gguf(metadata))
}

#[test]
fn special_tokens_are_added_and_recognised() {
    let tokenizer = gguf(|_| {}).expect("a tokenizer");
    assert_eq!(tokenizer.encode("a<|end|>b", true).expect("a text"), [special("<s>"), 97, special("<|end|>"), 98]);
    assert_eq!(tokenizer.encode("a", false).expect("a text"), [97]);
    let encoding = tokenizer.encode_with_spans("\u{e9} <|end|>", true).expect("a text");
    assert_eq!(encoding.ids, [special("<s>"), 0xc3, 0xa9, 32, special("<|end|>")]);
    assert_eq!(encoding.spans, [None, Some(0..2), Some(0..2), Some(2..3), Some(3..10)]);
    assert_eq!((tokenizer.eos_ids(), tokenizer.bos_id()), (&[special("</s>")][..], Some(special("<s>"))));
    assert!(tokenizer.is_special(special("<|end|>")) && !tokenizer.is_special(97));
    assert_eq!(tokenizer.token_id("<|end|>"), Some(special("<|end|>")));
    assert_eq!(tokenizer.special_tokens().0["eos_token"], "</s>");
    assert_eq!(tokenizer.decode(&[97, special("</s>"), 98, 9999], true), "ab");
    assert_eq!(tokenizer.decode(&[97, special("</s>")], false), "a</s>");
}

#[test]
fn a_tokenizer_that_is_not_supported_says_what_is() {
    let text = gguf(|metadata| metadata.pre = Some("klingon".into())).expect_err("not supported").to_string();
    assert!(text.contains("\"klingon\"") && text.contains("smollm"), "{text}");
    let text = gguf(|metadata| metadata.model = "bert".into()).expect_err("not supported").to_string();
    assert!(text.contains("\"bert\""), "{text}");
    let text = gguf(|metadata| metadata.model = "llama".into()).expect_err("no scores").to_string();
    assert!(text.contains("tokenizer.ggml.scores"), "{text}");
}

#[test]
fn a_merge_of_what_is_no_token_is_left_out() {
    let tokenizer = gguf(|metadata| {
        metadata.tokens.push("ab".to_owned());
        metadata.token_types.push(1);
        metadata.merges = ["a b", "a zz", "q q", "", " ", "x"].map(str::to_owned).to_vec();
    });
    assert_eq!(tokenizer.expect("a tokenizer").encode("abq", false).expect("a text"), [261, 113]);
}

#[test]
fn the_digest_tells_tokenizers_apart() {
    let digest = |bos| Tokenizer::open(&byte_tokenizer(bos, None)).expect("a tokenizer").digest().to_owned();
    assert_eq!(digest(true), digest(true));
    assert_ne!(digest(true), digest(false));
}

proptest! {
    #[test]
    fn any_ids_decode_to_valid_text_in_pieces(ids in proptest::collection::vec(0u32..300, 0..40)) {
        let tokenizer = gguf(|_| {}).expect("a tokenizer");
        let mut detokenizer = tokenizer.detokenizer(false);
        for &id in &ids {
            // Held back until it is certain, so nothing is ever taken back.
            prop_assert!(!detokenizer.push(id).ends_with(char::REPLACEMENT_CHARACTER));
        }
        detokenizer.finish();
    }

    #[test]
    fn any_text_comes_back(text in ".*") {
        let tokenizer = gguf(|_| {}).expect("a tokenizer");
        let ids = tokenizer.encode(&text, false).expect("a text");
        prop_assert_eq!(tokenizer.decode(&ids, false), text);
    }
}
