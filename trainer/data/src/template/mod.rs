//! Chat templates: a conversation becomes the text that the model was trained to read.
//!
//! Templates are Jinja as transformers' `apply_chat_template` runs it, and the output is byte for byte the same: blocks trimmed, JSON and
//! numbers written as Python writes them, Python's methods on strings and mappings, `raise_exception`, `strftime_now`, and
//! `{% generation %}` blocks, which mark what the model says.

mod environment;
mod filters;
mod generation;
mod json;
mod python;
mod python_methods;
mod python_text;

use crate::Error;
use crate::tokenizer::{SpecialTokens, Tokenizer};
use minijinja::{Environment, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;
use temper_artifact::TokenizerSource;
use temper_contract::config;

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    special: SpecialTokens,
    has_generation: bool,
}

/// What a template renders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation<'a> {
    /// Objects with `role` and `content`, passed to the template as they are.
    pub messages: &'a [Json],
    /// JSON schemas of functions that the model may call.
    pub tools: Option<&'a Json>,
    /// Whether to end with the opening of the assistant's turn.
    pub add_generation_prompt: bool,
    /// Further variables of the template.
    pub extra: BTreeMap<String, Json>,
}

impl<'a> Conversation<'a> {
    /// Messages alone.
    pub fn new(messages: &'a [Json]) -> Self {
        Self { messages, ..Self::default() }
    }
}

/// A conversation's text, with what `{% generation %}` blocks wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Bytes of it that are inside generation blocks, in order.
    pub generated: Vec<Range<usize>>,
}

const NAME: &str = "chat template";

impl ChatTemplate {
    /// Compiles the template. `strftime_now` gives the time of rendering, in UTC.
    pub fn compile(text: &str, special: &SpecialTokens) -> Result<Self, Error> {
        Self::compile_at(text, special, None)
    }

    /// Compiles the template with a fixed answer to `strftime_now`, so that the same rows give the same text on any day.
    pub fn compile_at(text: &str, special: &SpecialTokens, now: Option<SystemTime>) -> Result<Self, Error> {
        let rewritten = generation::rewrite(text);
        let has_generation = rewritten.is_some();
        let mut environment = environment::new(now);
        environment
            .add_template_owned(NAME, rewritten.unwrap_or_else(|| text.to_owned()))
            .map_err(|error| template_error("compile", &error))?;
        Ok(Self { environment, source: text.to_owned(), special: special.clone(), has_generation })
    }

    /// The template that a job asks for. `strftime_now` gives the time of rendering, in UTC.
    pub fn choose(which: &config::ChatTemplate, tools: bool, source: &TokenizerSource, tokenizer: &Tokenizer) -> Result<Self, Error> {
        Self::choose_at(which, tools, source, tokenizer, None)
    }

    /// The template that a job asks for, with a fixed answer to `strftime_now`.
    pub fn choose_at(
        which: &config::ChatTemplate,
        tools: bool,
        source: &TokenizerSource,
        tokenizer: &Tokenizer,
        now: Option<SystemTime>,
    ) -> Result<Self, Error> {
        let text = text_of(which, tools, source).ok_or_else(|| Error::NoTemplate {
            reason: "the tokenizer has none; give one as inline Jinja in spec.dataset.chatTemplate".to_owned(),
        })?;
        Self::compile_at(text, tokenizer.special_tokens(), now)
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the template marks what the model says with `{% generation %}` blocks.
    pub fn has_generation(&self) -> bool {
        self.has_generation
    }

    /// SHA-256 of the template's text.
    pub fn digest(&self) -> String {
        temper_artifact::digest::bytes(self.source.as_bytes())
    }

    /// The conversation's text.
    pub fn render(&self, conversation: &Conversation<'_>) -> Result<String, Error> {
        Ok(self.render_with_spans(conversation)?.text)
    }

    /// The conversation's text, with what generation blocks wrote.
    pub fn render_with_spans(&self, conversation: &Conversation<'_>) -> Result<Rendered, Error> {
        let mut variables: BTreeMap<&str, Value> =
            self.special.0.iter().map(|(name, text)| (name.as_str(), Value::from(text.as_str()))).collect();
        let messages = Json::Array(conversation.messages.iter().map(with_reasoning).collect());
        if self.has_generation && generation::collides(&messages) {
            return Err(Error::Template { action: "render", line: None, reason: generation::COLLISION.to_owned() });
        }
        variables.insert("messages", python::value(&messages));
        variables.insert("tools", conversation.tools.map_or(Value::from(()), python::value));
        variables.insert("documents", Value::from(()));
        variables.insert("add_generation_prompt", Value::from(conversation.add_generation_prompt));
        for (name, value) in &conversation.extra {
            variables.insert(name, python::value(value));
        }
        let template = self.environment.get_template(NAME).map_err(|error| template_error("render", &error))?;
        let text = template.render(Value::from_pairs(variables)).map_err(|error| template_error("render", &error))?;
        Ok(if self.has_generation { generation::strip(&text) } else { Rendered { text, generated: Vec::new() } })
    }

    /// Token ids of a conversation up to and with the opening of the assistant's turn: what a model is given to answer.
    pub fn render_prompt(&self, tokenizer: &Tokenizer, messages: &[Json], tools: Option<&Json>) -> Result<Vec<u32>, Error> {
        let conversation = Conversation { messages, tools, add_generation_prompt: true, extra: BTreeMap::new() };
        tokenizer.encode(&self.render(&conversation)?, false)
    }
}

fn text_of<'a>(which: &'a config::ChatTemplate, tools: bool, source: &'a TokenizerSource) -> Option<&'a str> {
    match which {
        config::ChatTemplate::Inline(text) => Some(text.as_str()),
        config::ChatTemplate::TokenizerDefault if tools => source.chat_template_for_tools(),
        config::ChatTemplate::TokenizerDefault => source.chat_template(),
    }
}

/// Whether any template that rows of the job may go through can write the date.
pub(crate) fn asks_for_time(which: &config::ChatTemplate, source: &TokenizerSource) -> bool {
    [false, true].into_iter().filter_map(|tools| text_of(which, tools, source)).any(|text| text.contains(environment::TIME))
}

/// A message whose reasoning stands under every name that templates know it by, as transformers passes it on.
fn with_reasoning(message: &Json) -> Json {
    let reasoning =
        ["reasoning_content", "thinking", "reasoning"].iter().find_map(|name| message.get(name).filter(|value| !value.is_null()));
    match (message, reasoning) {
        (Json::Object(fields), Some(reasoning)) => {
            let mut named = serde_json::Map::new();
            named.insert("thinking".to_owned(), reasoning.clone());
            named.extend(fields.clone());
            named.insert("reasoning_content".to_owned(), reasoning.clone());
            Json::Object(named)
        }
        _ => message.clone(),
    }
}

fn template_error(action: &'static str, error: &minijinja::Error) -> Error {
    // The innermost cause names the place in the template; outer ones only say that a call failed.
    let (mut line, mut reason) = (error.line(), describe(error));
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<minijinja::Error>() {
            line = inner.line().or(line);
            reason = describe(inner);
        }
        source = inner.source();
    }
    Error::Template { action, line, reason: crate::error::shortened(&reason) }
}

fn describe(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) if error.kind() == minijinja::ErrorKind::InvalidOperation => detail.to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests;
