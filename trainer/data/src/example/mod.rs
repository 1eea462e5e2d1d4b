//! One row becomes tokens, each marked as a target of the loss or not.
//!
//! | Format | Text | Targets |
//! |---|---|---|
//! | `text` | the text, then the end token | all tokens |
//! | `prompt-completion`, `alpaca` | prompt and completion as one text, then the end token | from where its tokens part from the prompt's own |
//! | `messages` | what the chat template renders | every assistant turn with its end token |
//!
//! The first two put the tokenizer's own special tokens around the text, as TRL does; a chat template writes its own. The end token is the
//! tokenizer's `eos_token` or, where its files name none, the first that the model's configuration names. One that is there already is not
//! added again.

mod turns;

use crate::Error;
use crate::rejections::{Reason, Rejected};
use crate::rows::Row;
use crate::template::{self, ChatTemplate};
use crate::tokenizer::Tokenizer;
use jiff::Timestamp;
use std::time::SystemTime;
use temper_artifact::TokenizerSource;
use temper_contract::config::{Dataset, DatasetFormat, ExcessLengthStrategy};

/// Turns rows into tokens, from several threads at a time.
#[derive(Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    /// For rows with tools, where the tokenizer has a template of its own for them.
    tool_template: Option<ChatTemplate>,
    /// What a text ends with, if rows go through no template.
    end: Option<u32>,
    /// When templates say that it is.
    day: Option<Timestamp>,
    max_length: usize,
    excess_length_strategy: ExcessLengthStrategy,
}

/// A row's tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For each id 1 if the loss counts it, else 0.
    pub targets: Vec<u8>,
    /// Whether tokens were cut off.
    pub truncated: bool,
}

impl Encoder {
    /// Builds the tokenizer and compiles the templates that rows of this data set need. `model_end` ends a text where the tokenizer names
    /// no end token. `day` is when templates say that it is; without one, they ask the clock for each row.
    pub fn new(source: &TokenizerSource, dataset: &Dataset, model_end: Option<u32>, day: Option<Timestamp>) -> Result<Self, Error> {
        let tokenizer = Tokenizer::open(source)?;
        let (mut template, mut tool_template, mut end) = (None, None, None);
        if dataset.format == DatasetFormat::Messages {
            let now = day.map(SystemTime::from);
            let choose = |tools| ChatTemplate::choose_at(&dataset.chat_template, tools, source, &tokenizer, now);
            let plain = choose(false)?;
            tool_template = Some(choose(true)?).filter(|tools| tools.source() != plain.source());
            template = Some(plain);
        } else {
            end = tokenizer.eos_ids().first().copied().or(model_end);
        }
        let Dataset { max_length, excess_length_strategy, .. } = *dataset;
        Ok(Self { tokenizer, template, tool_template, end, day, max_length, excess_length_strategy })
    }

    /// Whether the text of this data set's rows depends on the day.
    pub fn needs_day(source: &TokenizerSource, dataset: &Dataset) -> bool {
        dataset.format == DatasetFormat::Messages && template::asks_for_time(&dataset.chat_template, source)
    }

    /// Whether rows end without a token that says so, because nothing names one.
    pub fn lacks_end(&self) -> bool {
        self.template.is_none() && self.end.is_none()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The chat template, if rows of the format need one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// Everything that a row's tokens depend on besides the row.
    pub(crate) fn digest_parts(&self) -> Vec<String> {
        let template = |template: &Option<ChatTemplate>| template.as_ref().map(ChatTemplate::digest).unwrap_or_default();
        vec![
            self.tokenizer.digest().to_owned(),
            template(&self.template),
            template(&self.tool_template),
            format!("{:?}", self.end),
            self.day.map(|day| day.to_string()).unwrap_or_default(),
            self.max_length.to_string(),
            format!("{:?}", self.excess_length_strategy),
        ]
    }

    /// The row's tokens, at most `max_length` of them.
    pub fn encode(&self, row: &Row) -> Result<Tokens, Rejected> {
        let mut tokens = match row {
            Row::Text(text) => {
                let ids = self.with_end(self.ids(text, true)?);
                Tokens { targets: vec![1; ids.len()], ids, truncated: false }
            }
            Row::PromptCompletion { prompt, completion } => self.completion(prompt, completion)?,
            Row::Messages { messages, tools } => {
                let template = self.tool_template.as_ref().filter(|_| tools.is_some()).or(self.template.as_ref());
                let template = template.ok_or_else(|| Rejected::new(Reason::TemplateFailed, "there is no chat template"))?;
                turns::encode(&self.tokenizer, template, messages, tools.as_ref())?
            }
        };
        self.fit(&mut tokens)?;
        // A first token is predicted from nothing, so as a target it counts for nothing.
        if tokens.targets.iter().skip(1).all(|&target| target == 0) {
            let detail = if tokens.truncated {
                "maxLength cuts off every token that the loss would count"
            } else {
                "the loss would count no token of the row"
            };
            return Err(Rejected::new(Reason::NoTargets, detail));
        }
        Ok(tokens)
    }

    fn completion(&self, prompt: &str, completion: &str) -> Result<Tokens, Rejected> {
        let alone = self.ids(prompt, true)?;
        let whole = self.ids(&format!("{prompt}{completion}"), true)?;
        // Where a token spans the end of the prompt the two part earlier than the prompt's end; that token is learned too. What the
        // tokenizer puts after a text (an end token) is no part of the prompt.
        let shared = alone.iter().zip(&whole).take_while(|(one, other)| one == other).count();
        let before = whole.len();
        let ids = self.with_end(whole);
        if completion.is_empty() && before == shared {
            return Err(Rejected::new(Reason::NoTargets, "the completion is empty"));
        }
        let targets = (0..ids.len()).map(|place| u8::from(place >= shared)).collect();
        Ok(Tokens { ids, targets, truncated: false })
    }

    fn ids(&self, text: &str, add_special: bool) -> Result<Vec<u32>, Rejected> {
        self.tokenizer.encode(text, add_special).map_err(|error| Rejected::new(Reason::TokenizerFailed, error.to_string()))
    }

    fn with_end(&self, mut ids: Vec<u32>) -> Vec<u32> {
        if let Some(end) = self.end
            && ids.last() != Some(&end)
        {
            ids.push(end);
        }
        ids
    }

    fn fit(&self, tokens: &mut Tokens) -> Result<(), Rejected> {
        let length = tokens.ids.len();
        if length <= self.max_length {
            return Ok(());
        }
        if self.excess_length_strategy == ExcessLengthStrategy::Truncate {
            tokens.ids.truncate(self.max_length);
            tokens.targets.truncate(self.max_length);
            tokens.truncated = true;
            return Ok(());
        }
        Err(Rejected::new(Reason::ExcessLength, format!("the row has {length} tokens, spec.dataset.maxLength is {}", self.max_length)))
    }
}

#[cfg(test)]
mod tests;
