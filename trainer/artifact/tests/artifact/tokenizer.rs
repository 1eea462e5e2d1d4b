use crate::model_files::{write_folder, write_json};
use serde_json::{Value, json};
use std::path::Path;
use temper_artifact::{Error, ModelSource, TokenizerSource};

fn tokenizer(files: impl Fn(&Path)) -> Result<TokenizerSource, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    write_folder(folder.path());
    write_json(&folder.path().join("tokenizer.json"), &vocabulary(&["a", "b", "<end>", "c"]));
    files(folder.path());
    ModelSource::open(folder.path()).expect("opens").tokenizer()
}

/// A BPE tokenizer.json with these tokens, and one added token after them.
fn vocabulary(tokens: &[&str]) -> Value {
    let vocab: Value =
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect::<serde_json::Map<_, _>>().into();
    json!({"added_tokens": [{"id": tokens.len(), "content": "<start>", "special": true}], "model": {"type": "BPE", "vocab": vocab, "merges": []}})
}

#[test]
fn special_tokens_are_texts_or_objects() {
    let config =
        json!({"eos_token": "<end>", "bos_token": {"content": "<start>", "lstrip": false}, "unk_token": null, "add_bos_token": true});
    let source = tokenizer(|folder| write_json(&folder.join("tokenizer_config.json"), &config)).expect("read");
    assert_eq!(source.special_token("eos_token"), Some(("<end>", 2)));
    assert_eq!(source.special_token("bos_token"), Some(("<start>", 4)));
    assert_eq!(source.special_token("unk_token"), None);
    let source = tokenizer(|folder| write_json(&folder.join("special_tokens_map.json"), &config)).expect("read");
    assert_eq!(source.special_token("bos_token"), Some(("<start>", 4)));
}

/// The rule of `_from_pretrained` in transformers 5.
#[test]
fn a_map_of_special_tokens_overrides_an_older_configuration_only() {
    let config = json!({"eos_token": "<end>", "bos_token": "<start>", "unk_token": "a", "pad_token": "b"});
    let map = json!({"eos_token": {"content": "c"}, "bos_token": null, "pad_token": "", "cls_token": "a"});
    let read = |config: &Value| {
        tokenizer(|folder| {
            write_json(&folder.join("tokenizer_config.json"), config);
            write_json(&folder.join("special_tokens_map.json"), &map);
        })
        .expect("read")
    };
    let texts = |source: &TokenizerSource| match source {
        TokenizerSource::HuggingFace(files) => files.special_tokens.clone().into_iter().collect::<Vec<_>>(),
        TokenizerSource::Gguf(_) => panic!("it is a folder"),
    };
    let pairs = |list: &[(&str, &str)]| list.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect::<Vec<_>>();
    let older = read(&config);
    assert_eq!(texts(&older), pairs(&[("cls_token", "a"), ("eos_token", "c"), ("pad_token", ""), ("unk_token", "a")]));
    assert_eq!((older.special_token("eos_token"), older.special_token("pad_token")), (Some(("c", 3)), None));
    let mut whole = config;
    whole["added_tokens_decoder"] = json!({"4": {"content": "<start>", "special": true}});
    let whole = read(&whole);
    assert_eq!(texts(&whole), pairs(&[("bos_token", "<start>"), ("eos_token", "<end>"), ("pad_token", "b"), ("unk_token", "a")]));
    assert_eq!(whole.special_token("eos_token"), Some(("<end>", 2)));
}

#[test]
fn chat_templates_come_from_a_file_or_from_the_configuration() {
    let config =
        |template: Value| move |folder: &Path| write_json(&folder.join("tokenizer_config.json"), &json!({"chat_template": template}));
    let one = tokenizer(config(json!("plain"))).expect("read");
    assert_eq!((one.chat_template(), one.chat_template_for_tools()), (Some("plain"), Some("plain")));
    let list = json!([{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]);
    let two = tokenizer(config(list)).expect("read");
    assert_eq!((two.chat_template(), two.chat_template_for_tools()), (Some("plain"), Some("tools")));
    let files = tokenizer(|folder| {
        config(json!("plain"))(folder);
        std::fs::write(folder.join("chat_template.jinja"), "from a file").expect("written");
        std::fs::create_dir(folder.join("additional_chat_templates")).expect("made");
        std::fs::write(folder.join("additional_chat_templates/tool_use.jinja"), "tools").expect("written");
    })
    .expect("read");
    assert_eq!((files.chat_template(), files.chat_template_for_tools()), (Some("from a file"), Some("tools")));
    assert_eq!(tokenizer(|_| ()).expect("read").chat_template(), None);
    let message = tokenizer(config(json!(3))).expect_err("refused").to_string();
    assert!(message.contains("chat_template is 3"), "{message}");
}

#[test]
fn ids_outside_the_embedding_are_refused() {
    // Six rows: five tokens and the added one just fit.
    let write = |tokens: &'static [&str]| move |folder: &Path| write_json(&folder.join("tokenizer.json"), &vocabulary(tokens));
    assert!(tokenizer(write(&["a", "b", "c", "d", "e"])).is_ok());
    let message = tokenizer(write(&["a", "b", "c", "d", "e", "f"])).expect_err("refused").to_string();
    assert!(message.contains("\"<start>\" is 6") && message.contains("only 6 rows"), "{message}");
    let unigram = |folder: &Path| {
        let vocab: Vec<_> = (0..7).map(|id| json!([format!("t{id}"), -0.5])).collect();
        write_json(&folder.join("tokenizer.json"), &json!({"model": {"type": "Unigram", "vocab": vocab}}));
    };
    let message = tokenizer(unigram).expect_err("refused").to_string();
    assert!(message.contains("\"t6\" is 6"), "{message}");
}

#[test]
fn a_folder_with_only_a_sentencepiece_model_says_what_to_do() {
    let message = tokenizer(|folder| {
        std::fs::remove_file(folder.join("tokenizer.json")).expect("removed");
        std::fs::write(folder.join("tokenizer.model"), "").expect("written");
    })
    .expect_err("refused")
    .to_string();
    assert!(message.contains("save_pretrained"), "{message}");
}
