//! Tokenizers of every kind of tokenizer.json beside transformers: the same ids, places and texts.

mod reference;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;
use temper_artifact::ModelSource;
use temper_data::Tokenizer;

/// What `tests/reference/make_tokenizers.py` prints of a text.
#[derive(Deserialize)]
struct Seen {
    text: String,
    plain: Vec<u32>,
    added: Vec<u32>,
    /// In characters.
    spans: Vec<Option<(usize, usize)>>,
    whole: String,
    short: String,
}

/// A tokenizer of each kind, with what transformers makes of texts by it.
fn kinds() -> &'static BTreeMap<String, (Tokenizer, Vec<Seen>)> {
    static KINDS: OnceLock<BTreeMap<String, (Tokenizer, Vec<Seen>)>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let printed = reference::run("make_tokenizers.py", [folder.path()]);
        let seen: BTreeMap<String, Vec<Seen>> = serde_json::from_slice(&printed).expect("sound goldens");
        let open = |name: &str| {
            let source = ModelSource::open(&folder.path().join(name)).expect("a model").tokenizer().expect("its tokenizer");
            Tokenizer::open(&source).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        seen.into_iter().map(|(name, seen)| (name.clone(), (open(&name), seen))).collect()
    })
}

/// The bytes that characters take.
fn bytes(text: &str, (start, end): (usize, usize)) -> Range<usize> {
    let byte = |character| text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte);
    byte(start)..byte(end)
}

fn one_at_a_time(tokenizer: &Tokenizer, ids: &[u32], skip_special: bool) -> String {
    let mut detokenizer = tokenizer.detokenizer(skip_special);
    let mut text: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
    text += &detokenizer.finish();
    text
}

#[test]
fn every_kind_gives_the_ids_and_places_of_transformers() {
    assert_eq!(kinds().keys().collect::<Vec<_>>(), ["bert", "llama", "llama3", "mistral", "qwen", "t5"]);
    for (name, (tokenizer, seen)) in kinds() {
        assert!(seen.len() >= 12, "{name}");
        for Seen { text, plain, added, spans, .. } in seen {
            assert_eq!(&tokenizer.encode(text, false).expect("any text"), plain, "{name} {text:?}");
            assert_eq!(&tokenizer.encode(text, true).expect("any text"), added, "{name} {text:?}");
            let encoding = tokenizer.encode_with_spans(text, true).expect("any text");
            let spans: Vec<Option<Range<usize>>> = spans.iter().map(|span| span.map(|span| bytes(text, span))).collect();
            assert_eq!((&encoding.ids, encoding.spans), (added, spans), "{name} {text:?}");
        }
    }
}

#[test]
fn every_kind_gives_the_texts_of_transformers_at_once_and_one_id_at_a_time() {
    for (name, (tokenizer, seen)) in kinds() {
        for Seen { text, added, whole, short, .. } in seen {
            for (skip_special, expected) in [(false, whole), (true, short)] {
                assert_eq!(&tokenizer.decode(added, skip_special), expected, "{name} {text:?}");
                assert_eq!(&one_at_a_time(tokenizer, added, skip_special), expected, "{name} {text:?}");
            }
        }
        // No kind changes a text like this.
        let text = "unbelievably internationalised houses";
        assert_eq!(tokenizer.decode(&tokenizer.encode(text, true).expect("any text"), true), text, "{name}");
    }
    // What is no piece is spelt in bytes, so nothing is lost.
    for name in ["llama", "llama3", "mistral"] {
        let (tokenizer, _) = &kinds()[name];
        for text in ["日本語のテキスト 한국어", "🏠 house 👍🏽", "line\nbreak\r\n\ttab\n\n", "e\u{301} ²½", "a  b   c "]
        {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text, true).expect("any text"), true), text, "{name}");
        }
    }
}

#[test]
fn every_kind_knows_its_special_tokens() {
    let table =
        [("t5", None, 1), ("llama", Some(1), 2), ("llama3", Some(0), 1), ("qwen", None, 2), ("mistral", Some(1), 2), ("bert", None, 3)];
    for (name, bos, eos) in table {
        let (tokenizer, _) = &kinds()[name];
        assert_eq!((tokenizer.bos_id(), tokenizer.eos_ids()), (bos, &[eos][..]), "{name}");
        let end = tokenizer.token_id("<|im_end|>").expect("an added token");
        assert!(tokenizer.is_special(end) && tokenizer.is_special(eos), "{name}");
        assert!(!tokenizer.is_special(tokenizer.encode("a", false).expect("a text")[0]), "{name}");
    }
}
