//! `generate`: text from a model, with or without an adapter.

use crate::compute;
use crate::failure::Result;
use std::io::Write;
use temper_artifact::ModelSource;
use temper_contract::report::Generation;
use temper_contract::request::{GenerateRequest, Prompt};
use temper_data::{ChatTemplate, Tokenizer};
use temper_model::Model;

/// Answers each prompt with one line of JSON on standard output, as soon as the answer is there.
pub(crate) fn run(request: &GenerateRequest) -> Result<()> {
    compute::set_threads(request.compute.threads)?;
    let device = compute::device(request.compute.device, 0)?;
    let source = ModelSource::open(&request.model)?;
    let prompts = Prompts::open(request, &source)?;
    let mut model = Model::load_frozen(&source, request.adapter.as_deref(), request.compute.precision, device)?;
    for prompt in &request.prompts {
        let prompt_ids = prompts.ids(prompt)?;
        let answer = model.generate(&prompt_ids, &request.sampling, request.max_new_tokens, &prompts.stop_ids, &mut |_| ())?;
        print(&Generation {
            prompt: shown(prompt),
            text: prompts.tokenizer.decode(&answer.token_ids, true),
            prompt_tokens: prompt_ids.len(),
            token_ids: answer.token_ids,
            finish_reason: if answer.stop_id.is_some() { "stop" } else { "length" }.to_owned(),
        })?;
    }
    Ok(())
}

/// Turns prompts into ids.
struct Prompts {
    tokenizer: Tokenizer,
    /// Only where a prompt is a conversation: a base model without a template can still continue text.
    template: Option<ChatTemplate>,
    /// Tokens that end an answer.
    stop_ids: Vec<u32>,
}

impl Prompts {
    fn open(request: &GenerateRequest, source: &ModelSource) -> Result<Self> {
        let tokenizer_source = source.tokenizer()?;
        let tokenizer = Tokenizer::open(&tokenizer_source)?;
        let needs_template = request.prompts.iter().any(|prompt| matches!(prompt, Prompt::Messages(_)));
        let template = match needs_template {
            true => Some(ChatTemplate::choose(&request.chat_template, false, &tokenizer_source, &tokenizer)?),
            false => None,
        };
        let mut stop_ids: Vec<u32> = tokenizer.eos_ids().to_vec();
        stop_ids.extend(&source.config().eos_token_ids);
        stop_ids.sort_unstable();
        stop_ids.dedup();
        Ok(Self { tokenizer, template, stop_ids })
    }

    fn ids(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        Ok(match (prompt, &self.template) {
            (Prompt::Messages(messages), Some(template)) => template.render_prompt(&self.tokenizer, messages, None)?,
            (Prompt::Messages(_), None) => Vec::new(),
            (Prompt::Text(text), _) => self.tokenizer.encode(text, true)?,
        })
    }
}

/// The part of a prompt that a person recognises it by.
fn shown(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Messages(messages) => {
            messages.last().and_then(|message| message.get("content")).and_then(|content| content.as_str()).unwrap_or_default().to_owned()
        }
    }
}

/// One line of JSON on standard output.
pub(super) fn print(value: &impl serde::Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(value).map_err(|error| crate::failure::Failure::unexpected(error.to_string()))?;
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    out.write_all(&line)
        .and_then(|()| out.flush())
        .map_err(|error| crate::failure::Failure::unexpected(format!("failed to write to standard output: {error}")))
}
