//! The tokenizer files of a Hugging Face folder.

use crate::json_file::{JsonObject, read_text};
use crate::model_folder::ModelFolder;
use crate::{ChatTemplates, Error};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// Largest tokenizer.json that is read; the largest published ones hold about 35 MB.
const LIMIT: u64 = 512 << 20;

/// tokenizer.json and what the files beside it say about special tokens and chat templates.
#[derive(Clone, Debug)]
pub struct HuggingFaceTokenizer {
    /// The tokenizer proper, for the `tokenizers` library.
    pub tokenizer_json: PathBuf,
    /// tokenizer_config.json; empty if the folder has none.
    pub tokenizer_config: Map<String, Value>,
    /// Texts of the special tokens by name (`bos_token`, `eos_token`, ...), from tokenizer_config.json and, in older folders,
    /// special_tokens_map.json.
    pub special_tokens: BTreeMap<String, String>,
    /// The chat templates.
    pub chat_templates: ChatTemplates,
    special_ids: BTreeMap<String, u32>,
}

impl HuggingFaceTokenizer {
    /// The id of a special token (by name, such as `eos_token`).
    pub fn special_token_id(&self, name: &str) -> Option<u32> {
        self.special_ids.get(name).copied()
    }

    /// Reads the folder's tokenizer files and checks every id against the number of embedding rows.
    pub(crate) fn read(folder: &ModelFolder, vocab_size: usize) -> Result<HuggingFaceTokenizer, Error> {
        let Some(path) = folder.file("tokenizer.json")? else {
            let reason = if folder.file("tokenizer.model")?.is_some() {
                "the folder has tokenizer.model but no tokenizer.json; save the tokenizer with transformers' save_pretrained to get one"
            } else {
                "the folder has no tokenizer.json; get the model's complete folder"
            };
            return Err(Error::NotAModel { path: folder.path().to_owned(), reason: reason.to_owned() });
        };
        let vocabulary: TokenizerJson =
            serde_json::from_str(&read_text(&path, LIMIT)?).map_err(|source| Error::Json { path: path.clone(), source })?;
        vocabulary.check(&path, vocab_size)?;
        let config = folder.json("tokenizer_config.json")?;
        let special_tokens = special_tokens(folder, config.as_ref())?;
        let id = |text: &String| vocabulary.id(text);
        let special_ids = special_tokens.iter().filter_map(|(name, text)| Some((name.clone(), id(text)?))).collect();
        Ok(HuggingFaceTokenizer {
            tokenizer_json: path,
            chat_templates: ChatTemplates::read(folder, config.as_ref())?,
            tokenizer_config: config.map(|config| config.fields).unwrap_or_default(),
            special_tokens,
            special_ids,
        })
    }
}

/// The special tokens by transformers' rule: special_tokens_map.json overrides tokenizer_config.json, unless that has
/// `added_tokens_decoder`; then the map is of an earlier version of the tokenizer, and is not looked at.
fn special_tokens(folder: &ModelFolder, config: Option<&JsonObject>) -> Result<BTreeMap<String, String>, Error> {
    let is_whole = config.is_some_and(|config| config.get("added_tokens_decoder").is_some());
    let map = if is_whole { None } else { folder.json("special_tokens_map.json")? };
    let mut tokens = BTreeMap::new();
    for file in config.into_iter().chain(&map) {
        collect_special_tokens(file, &mut tokens);
    }
    Ok(tokens)
}

/// A token is given as a text, which may be empty, or as an object with its text in `content`; null takes it away.
fn collect_special_tokens(file: &JsonObject, into: &mut BTreeMap<String, String>) {
    for (name, value) in file.fields.iter().filter(|(name, _)| name.ends_with("_token")) {
        let text = value.as_str().or_else(|| value.get("content").and_then(Value::as_str));
        if let Some(text) = text {
            into.insert(name.clone(), text.to_owned());
        } else if value.is_null() {
            into.remove(name);
        }
    }
}

/// What is needed of tokenizer.json: texts and ids.
#[derive(Deserialize)]
struct TokenizerJson {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    model: TokenizerModel,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u64,
    content: String,
}

#[derive(Deserialize)]
struct TokenizerModel {
    #[serde(default)]
    vocab: Vocabulary,
}

impl TokenizerJson {
    fn id(&self, text: &str) -> Option<u32> {
        let added = self.added_tokens.iter().find(|token| token.content == text).map(|token| token.id);
        added.or_else(|| self.model.vocab.0.get(text).copied()).and_then(|id| u32::try_from(id).ok())
    }

    fn check(&self, path: &std::path::Path, vocab_size: usize) -> Result<(), Error> {
        let added = self.added_tokens.iter().map(|token| (token.content.as_str(), token.id));
        let all = self.model.vocab.0.iter().map(|(text, &id)| (text.as_str(), id)).chain(added);
        match all.filter(|&(_, id)| id >= vocab_size as u64).min_by_key(|&(_, id)| id) {
            None => Ok(()),
            Some((text, id)) => {
                let reason = format!(
                    "the model's embedding has only {vocab_size} rows; the tokenizer does not belong to this model, or tokens were added to it without resizing the embedding"
                );
                Err(Error::field(path, format!("the id of token {:?}", crate::error::shortened(text)), id, reason))
            }
        }
    }
}

/// Token texts and ids: an object in BPE, WordPiece and WordLevel, a list of `[text, score]` in Unigram.
#[derive(Default)]
struct Vocabulary(HashMap<String, u64>);

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vocabulary, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Vocabulary;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of token ids or a list of tokens")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let mut vocabulary = HashMap::new();
                while let Some((text, id)) = map.next_entry()? {
                    vocabulary.insert(text, id);
                }
                Ok(Vocabulary(vocabulary))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocabulary, A::Error> {
                let mut vocabulary = HashMap::new();
                let mut id = 0;
                while let Some((text, _)) = list.next_element::<(String, IgnoredAny)>()? {
                    vocabulary.insert(text, id);
                    id += 1;
                }
                Ok(Vocabulary(vocabulary))
            }
        }
        deserializer.deserialize_any(Either)
    }
}
