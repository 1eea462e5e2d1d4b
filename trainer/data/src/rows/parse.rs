//! What one line means, in the format that the job says its data has.

use super::{alpaca, message};
use crate::rejections::{Reason, Rejected};
use serde_json::{Map, Value};
use std::borrow::Cow;
use temper_contract::config::DatasetFormat;

/// One data row.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// Plain text: all of it is learned.
    Text(String),
    /// A text that is given and one that is learned.
    PromptCompletion {
        /// What is given.
        prompt: String,
        /// What is learned.
        completion: String,
    },
    /// A conversation: the assistant's turns are learned.
    Messages {
        /// Objects with `role` and `content`, as chat templates expect them.
        messages: Vec<Value>,
        /// A list of JSON schemas of functions.
        tools: Option<Value>,
    },
}

impl Row {
    /// Reads a line.
    pub fn parse(line: &[u8], format: DatasetFormat) -> Result<Self, Rejected> {
        let text = std::str::from_utf8(line)
            .map_err(|error| Rejected::new(Reason::InvalidUtf8, format!("byte {} of the line is not UTF-8", error.valid_up_to() + 1)))?;
        let value: Value = serde_json::from_str(text).map_err(|error| Rejected::new(Reason::InvalidJson, describe(&error)))?;
        let Value::Object(mut row) = value else {
            return Err(message::wrong("the row", &value, "an object"));
        };
        match format {
            DatasetFormat::Text => Ok(Self::Text(string(&mut row, "text")?)),
            DatasetFormat::PromptCompletion => {
                Ok(Self::PromptCompletion { prompt: string(&mut row, "prompt")?, completion: string(&mut row, "completion")? })
            }
            DatasetFormat::Alpaca => {
                let input = match row.get("input") {
                    None | Some(Value::Null) => None,
                    Some(_) => Some(string(&mut row, "input")?),
                };
                let prompt = alpaca::prompt(&string(&mut row, "instruction")?, input.as_deref());
                Ok(Self::PromptCompletion { prompt, completion: string(&mut row, "output")? })
            }
            DatasetFormat::Messages => {
                let messages = message::messages(row.remove("messages").ok_or_else(|| message::missing("messages"))?)?;
                Ok(Self::Messages { messages, tools: message::tools(&mut row)? })
            }
        }
    }

    /// The row's text, which filters measure and match: its fields, or the contents of its messages, joined by line ends.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::PromptCompletion { prompt, completion } => Cow::Owned(format!("{prompt}\n{completion}")),
            Self::Messages { messages, .. } => {
                let contents: Vec<&str> = messages.iter().filter_map(|message| message["content"].as_str()).collect();
                Cow::Owned(contents.join("\n"))
            }
        }
    }
}

fn string(row: &mut Map<String, Value>, name: &str) -> Result<String, Rejected> {
    match row.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(message::wrong(name, &other, "a string")),
        None => Err(message::missing(name)),
    }
}

/// serde_json's message without "at line 1", which would be taken for the file's line.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or_default();
    format!("{reason} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::Row;
    use crate::rejections::Reason;
    use crate::rows::MAX_MESSAGES;
    use proptest::prelude::*;
    use temper_contract::config::DatasetFormat::{self, Alpaca, Messages, PromptCompletion, Text};

    #[test]
    fn every_broken_row_has_its_reason() {
        let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let turns = r#"{"role": "assistant", "content": ""}, "#.repeat(MAX_MESSAGES);
        let endless = format!(r#"{{"messages": [{turns}{{"role": "user", "content": ""}}]}}"#);
        let table: &[(DatasetFormat, &[u8], Reason, &str)] = &[
            (Text, b"{\"text\": \"\xff\"}", Reason::InvalidUtf8, "byte 11 of the line"),
            (Text, b"{\"text\": \"a\"", Reason::InvalidJson, "EOF while parsing an object at column 12"),
            (Text, b"{'text': 1}", Reason::InvalidJson, "key must be a string"),
            (Text, b"{\"text\": NaN}", Reason::InvalidJson, "expected value"),
            (Text, b"{\"text\": \"a\"} {\"text\": \"b\"}", Reason::InvalidJson, "trailing characters"),
            (Text, b"{\"text\": \"\\ud800\"}", Reason::InvalidJson, ""),
            (Text, nested.as_bytes(), Reason::InvalidJson, "recursion limit"),
            (Text, b"[]", Reason::WrongType, "the row is a list of 0 where an object is expected"),
            (Text, b"{\"text\": 1}", Reason::WrongType, "text is a number where a string is expected"),
            (Text, b"{\"txt\": \"a\"}", Reason::MissingField, "text is missing"),
            (PromptCompletion, b"{\"prompt\": \"a\"}", Reason::MissingField, "completion is missing"),
            (PromptCompletion, b"{\"prompt\": [], \"completion\": \"\"}", Reason::WrongType, "prompt is a list"),
            (Alpaca, b"{\"instruction\": \"a\", \"input\": 3, \"output\": \"b\"}", Reason::WrongType, "input is a number"),
            (Alpaca, b"{\"instruction\": \"a\"}", Reason::MissingField, "output is missing"),
            (Messages, b"{}", Reason::MissingField, "messages is missing"),
            (Messages, b"{\"messages\": \"hi\"}", Reason::WrongType, "messages is a string of 2 characters"),
            (Messages, b"{\"messages\": []}", Reason::EmptyMessages, ""),
            (Messages, endless.as_bytes(), Reason::TooManyMessages, "a list of 1025; the limit is 1024"),
            (Messages, b"{\"messages\": [3]}", Reason::WrongType, "messages[0] is a number"),
            (Messages, b"{\"messages\": [{\"content\": \"a\"}]}", Reason::MissingField, "messages[0].role is missing"),
            (Messages, b"{\"messages\": [{\"role\": \"asistant\", \"content\": \"a\"}]}", Reason::WrongType, "messages[0].role"),
            (Messages, b"{\"messages\": [{\"role\": \"assistant\"}]}", Reason::MissingField, "messages[0].content is missing"),
            (Messages, b"{\"messages\": [{\"role\": \"assistant\", \"content\": null}]}", Reason::WrongType, "messages[0].content is null"),
            (Messages, b"{\"messages\": [{\"role\": \"user\", \"content\": 0}]}", Reason::WrongType, "messages[0].content is a number"),
            (
                Messages,
                b"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]}",
                Reason::WrongType,
                "content[0] is an object",
            ),
            (Messages, b"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", Reason::NoAssistantTurn, ""),
            (
                Messages,
                b"{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\", \"tool_calls\": {}}]}",
                Reason::WrongType,
                "tool_calls",
            ),
            (
                Messages,
                b"{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}], \"tools\": \"x\"}",
                Reason::WrongType,
                "tools is a string",
            ),
        ];
        for (format, line, reason, detail) in table {
            let rejected = Row::parse(line, *format).expect_err("broken");
            assert_eq!(rejected.reason, *reason, "{}", String::from_utf8_lossy(&line[..line.len().min(90)]));
            assert!(rejected.detail.contains(detail), "{} does not contain {detail}", rejected.detail);
        }
    }

    #[test]
    fn as_many_messages_as_the_limit_are_sound() {
        let turns = [r#"{"role": "assistant", "content": ""}"#; MAX_MESSAGES].join(", ");
        assert!(Row::parse(format!(r#"{{"messages": [{turns}]}}"#).as_bytes(), Messages).is_ok());
    }

    #[test]
    fn sound_rows_are_read() {
        let text = |format, line: &str| Row::parse(line.as_bytes(), format).expect("sound").text().into_owned();
        assert_eq!(text(Text, r#"{"text": "a\u00e9", "id": 7}"#), "a\u{e9}");
        assert_eq!(text(PromptCompletion, r#"{"prompt": "a", "completion": "b"}"#), "a\nb");
        assert!(text(Alpaca, r#"{"instruction": "a", "input": null, "output": "b"}"#).ends_with("Response:\n\nb"));
        let row = Row::parse(
            br#"{"tools": "[{\"name\": \"f\"}]", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": null, "tool_calls": [{"name": "f"}]}, {"role": "tool", "content": "1"}]}"#,
            Messages,
        )
        .expect("sound");
        assert_eq!(row.text(), "ab\n1");
        let Row::Messages { messages, tools } = row else { panic!("it is a conversation") };
        assert_eq!((messages[0]["content"].as_str(), tools), (Some("ab"), Some(serde_json::json!([{"name": "f"}]))));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(line in proptest::collection::vec(any::<u8>(), 0..200), near in r#"\{"(text|messages|prompt)": [\[\]{}":a0, ]{0,40}"#) {
            for format in [Text, PromptCompletion, Messages, Alpaca] {
                let _ = Row::parse(&line, format);
                let _ = Row::parse(near.as_bytes(), format);
            }
        }
    }
}
