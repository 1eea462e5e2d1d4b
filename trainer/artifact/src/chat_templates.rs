//! The chat templates of a Hugging Face folder.

use crate::Error;
use crate::json_file::{JsonObject, read_text};
use crate::model_folder::ModelFolder;
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest template that is read; published ones are a few tens of kilobytes.
const LIMIT: u64 = 4 << 20;

/// Templates by name. A tokenizer with one template has it under `default`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatTemplates(pub BTreeMap<String, String>);

impl ChatTemplates {
    /// The name of the template that is used unless another is asked for.
    pub const DEFAULT: &str = "default";
    /// The name of the template that is used when a conversation has tools.
    pub const TOOL_USE: &str = "tool_use";

    /// The template for a conversation with or without tools, by transformers' rule.
    pub fn choose(&self, tools: bool) -> Option<&str> {
        let named = if tools { self.0.get(ChatTemplates::TOOL_USE) } else { None };
        named.or_else(|| self.0.get(ChatTemplates::DEFAULT)).map(String::as_str)
    }

    /// chat_template.jinja and additional_chat_templates/NAME.jinja, which win over tokenizer_config.json's `chat_template` (a text, or
    /// a list of names and texts).
    pub(crate) fn read(folder: &ModelFolder, config: Option<&JsonObject>) -> Result<ChatTemplates, Error> {
        let mut templates = BTreeMap::new();
        if let Some(path) = folder.file("chat_template.jinja")? {
            templates.insert(ChatTemplates::DEFAULT.to_owned(), read_text(&path, LIMIT)?);
        }
        for (stem, name) in ChatTemplates::further(folder)? {
            if let Some(path) = folder.file(&name)? {
                templates.insert(stem, read_text(&path, LIMIT)?);
            }
        }
        if !templates.is_empty() {
            return Ok(ChatTemplates(templates));
        }
        let Some((config, value)) = config.and_then(|config| Some((config, config.get("chat_template")?))) else {
            return Ok(ChatTemplates::default());
        };
        match value {
            Value::String(text) => {
                templates.insert(ChatTemplates::DEFAULT.to_owned(), text.clone());
            }
            Value::Array(list) => {
                for entry in list {
                    let (Some(name), Some(text)) = (entry["name"].as_str(), entry["template"].as_str()) else {
                        return Err(config.error("chat_template", entry, "an object with name and template is expected"));
                    };
                    templates.insert(name.to_owned(), text.to_owned());
                }
            }
            other => return Err(config.error("chat_template", other, "a template or a list of named templates is expected")),
        }
        Ok(ChatTemplates(templates))
    }

    /// Names of the templates in files of their own, with the files' names in the folder.
    pub(crate) fn further(folder: &ModelFolder) -> Result<Vec<(String, String)>, Error> {
        const FURTHER: &str = "additional_chat_templates";
        if !folder.file(FURTHER)?.is_some_and(|path| path.is_dir()) {
            return Ok(Vec::new());
        }
        let names = ModelFolder::open(&folder.path().join(FURTHER))?.names()?;
        let stem = |name: String| Some((name.strip_suffix(".jinja")?.to_owned(), format!("{FURTHER}/{name}")));
        Ok(names.into_iter().filter_map(stem).collect())
    }
}
