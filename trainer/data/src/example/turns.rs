//! Which tokens of a rendered conversation the assistant says.
//!
//! A template with `{% generation %}` blocks says so itself. For any other, each assistant turn is found by rendering:
//!
//! 1. The conversation before the turn, with the opening of an answer, and the conversation up to and with the turn: where both are
//!    beginnings of the whole text, the turn lies between their ends.
//! 2. Some templates write earlier turns otherwise than the last one (Qwen3 drops the thinking of all but the last). Then the whole
//!    conversation is rendered once more with only this turn replaced: what the two texts do not share is the turn.
//!
//! The text is tokenised once, as a whole, so ids are those of the conversation; a token belongs to a turn if it holds any byte of it.

use super::Tokens;
use crate::rejections::{Reason, Rejected};
use crate::template::{ChatTemplate, Conversation};
use crate::tokenizer::{Encoding, Tokenizer};
use serde_json::{Value, json};
use std::ops::Range;

/// Stands for a turn; a noncharacter, so that it equals no part of a text.
const PLACEHOLDER: &str = "\u{fdd2}";

pub(super) fn encode(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    messages: &[Value],
    tools: Option<&Value>,
) -> Result<Tokens, Rejected> {
    let conversation = Conversation { messages, tools, ..Conversation::default() };
    let rendered = template.render_with_spans(&conversation).map_err(failed)?;
    let encoding =
        tokenizer.encode_with_spans(&rendered.text, false).map_err(|error| Rejected::new(Reason::TokenizerFailed, error.to_string()))?;
    let mut targets = vec![0; encoding.ids.len()];
    if template.has_generation() {
        rendered.generated.iter().for_each(|turn| mark(&encoding, turn, &mut targets));
    } else {
        for index in (0..messages.len()).filter(|&index| messages[index]["role"] == "assistant") {
            let turn = find(template, &conversation, index, &rendered.text)?;
            let turn = without_trailing_space(tokenizer, &encoding, &rendered.text, turn);
            mark(&encoding, &turn, &mut targets);
        }
    }
    Ok(Tokens { ids: encoding.ids, targets, truncated: false })
}

fn failed(error: crate::Error) -> Rejected {
    Rejected::new(Reason::TemplateFailed, error.to_string())
}

/// The bytes of the text that turn `index` takes, with its end token and perhaps with white space after that.
fn find(template: &ChatTemplate, conversation: &Conversation<'_>, index: usize, text: &str) -> Result<Range<usize>, Rejected> {
    let part = |messages, add_generation_prompt| template.render(&Conversation { messages, add_generation_prompt, ..conversation.clone() });
    let messages = conversation.messages;
    // A beginning may be no conversation that the template accepts (an empty one, say); the second way does without.
    if let (Ok(before), Ok(with)) = (part(&messages[..index], true), part(&messages[..=index], false))
        && text.starts_with(&with)
        && with.starts_with(&before)
        && before.len() < with.len()
    {
        return Ok(before.len()..with.len());
    }
    let mut replaced = messages.to_vec();
    replaced[index] = json!({"role": "assistant", "content": PLACEHOLDER});
    let other = part(&replaced, false).map_err(failed)?;
    if !other.contains(PLACEHOLDER) {
        return Err(Rejected::new(
            Reason::TemplateFailed,
            format!(
                "the chat template does not write messages[{index}], so its tokens cannot be found; use a template with {{% generation %}} blocks"
            ),
        ));
    }
    let start = shared(text.chars(), other.chars());
    let end = text.len() - shared(text[start..].chars().rev(), other.chars().rev());
    // Where the conversation ends with the turn, what follows it is what ends it; the same may follow here.
    let closing =
        part(&replaced[..=index], false).ok().and_then(|text| text.split_once(PLACEHOLDER).map(|(_, closing)| closing.to_owned()));
    let closing = closing.map_or(0, |closing| shared(closing.chars(), text[end..].chars()));
    Ok(start..end + closing)
}

/// Bytes of the letters that both begin with.
fn shared(one: impl Iterator<Item = char>, other: impl Iterator<Item = char>) -> usize {
    one.zip(other).take_while(|(one, other)| one == other).map(|(letter, _)| letter.len_utf8()).sum()
}

/// The turn without white space after its end token, which is not the assistant's. Without a special token at its end the turn stays as
/// it is.
fn without_trailing_space(tokenizer: &Tokenizer, encoding: &Encoding, text: &str, turn: Range<usize>) -> Range<usize> {
    let last = encoding.ids.iter().zip(&encoding.spans).rev().find_map(|(&id, span)| {
        let span = span.as_ref()?;
        (span.start >= turn.start && span.end <= turn.end && tokenizer.is_special(id)).then_some(span.end)
    });
    match last {
        Some(end) if text[end..turn.end].trim().is_empty() => turn.start..end,
        _ => turn,
    }
}

fn mark(encoding: &Encoding, turn: &Range<usize>, targets: &mut [u8]) {
    for (span, target) in encoding.spans.iter().zip(targets) {
        if let Some(span) = span
            && span.start < turn.end
            && (span.end > turn.start || (span.is_empty() && span.start == turn.start))
        {
            *target = 1;
        }
    }
}
