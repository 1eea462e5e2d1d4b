//! Messages of a conversation: checked, and brought to the form that chat templates expect.

use crate::rejections::{Reason, Rejected};
use serde_json::{Map, Value};

/// Roles that a message may have. `developer` and `ipython` are what some models call the system and the tool.
const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "ipython"];

/// A conversation of more messages is left out. Where the template does not mark what the assistant says, each of its turns takes renderings
/// of the whole conversation, so that the time for a row grows with the square of its messages. Conversations of people have dozens of them,
/// long runs of agents with tools some hundreds.
pub const MAX_MESSAGES: usize = 1024;

/// Checks the messages of a row. Content given as a list of text parts becomes one string, as text-only templates expect; everything else
/// (tool calls, names, reasoning) stays as it is, for the template to use.
pub(super) fn messages(value: Value) -> Result<Vec<Value>, Rejected> {
    let Value::Array(messages) = value else {
        return Err(wrong("messages", &value, "a list of messages"));
    };
    if messages.is_empty() {
        return Err(Rejected::new(Reason::EmptyMessages, "messages is an empty list"));
    }
    if messages.len() > MAX_MESSAGES {
        let detail = format!("messages is a list of {}; the limit is {MAX_MESSAGES}: divide the conversation", messages.len());
        return Err(Rejected::new(Reason::TooManyMessages, detail));
    }
    let messages: Vec<Value> = messages.into_iter().enumerate().map(|(index, value)| message(index, value)).collect::<Result<_, _>>()?;
    if messages.iter().any(|message| message["role"] == "assistant") {
        Ok(messages)
    } else {
        Err(Rejected::new(Reason::NoAssistantTurn, "no message has the role assistant"))
    }
}

fn message(index: usize, value: Value) -> Result<Value, Rejected> {
    let field = |name: &str| format!("messages[{index}].{name}");
    let Value::Object(mut message) = value else {
        return Err(wrong(&format!("messages[{index}]"), &value, "an object with role and content"));
    };
    match message.get("role") {
        None => return Err(missing(&field("role"))),
        Some(Value::String(role)) if ROLES.contains(&role.as_str()) => {}
        Some(role) => return Err(wrong(&field("role"), role, &format!("one of {}", ROLES.join(", ")))),
    }
    let has_tool_calls = match message.get("tool_calls") {
        None | Some(Value::Null) => false,
        Some(Value::Array(calls)) if calls.iter().all(Value::is_object) => !calls.is_empty(),
        Some(calls) => return Err(wrong(&field("tool_calls"), calls, "a list of objects")),
    };
    match message.get_mut("content") {
        Some(Value::String(_)) => {}
        // An assistant that only calls tools says nothing.
        None | Some(Value::Null) if has_tool_calls => {}
        None => return Err(missing(&field("content"))),
        Some(Value::Array(parts)) => {
            let text = text_parts(parts).map_err(|(part, found)| {
                wrong(&format!("{}[{part}]", field("content")), &found, "a text part, {\"type\": \"text\", \"text\": ...}")
            })?;
            message.insert("content".to_owned(), Value::String(text));
        }
        Some(content) => return Err(wrong(&field("content"), content, "a string, or a list of text parts")),
    }
    Ok(Value::Object(message))
}

fn text_parts(parts: &[Value]) -> Result<String, (usize, Value)> {
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        match (part.get("type"), part.get("text")) {
            (Some(Value::String(kind)), Some(Value::String(part))) if kind == "text" => text.push_str(part),
            _ => return Err((index, part.clone())),
        }
    }
    Ok(text)
}

/// The tools that a row offers to the model: a list of objects, or the same as a string of JSON.
pub(super) fn tools(row: &mut Map<String, Value>) -> Result<Option<Value>, Rejected> {
    const EXPECTED: &str = "a list of objects (JSON schemas of functions)";
    let tools = match row.remove("tools") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => match serde_json::from_str(&text) {
            Ok(tools) => tools,
            Err(_) => return Err(wrong("tools", &Value::String(text), EXPECTED)),
        },
        Some(tools) => tools,
    };
    match &tools {
        Value::Array(list) if list.is_empty() => Ok(None),
        Value::Array(list) if list.iter().all(Value::is_object) => Ok(Some(tools)),
        _ => Err(wrong("tools", &tools, EXPECTED)),
    }
}

pub(super) fn missing(field: &str) -> Rejected {
    Rejected::new(Reason::MissingField, format!("{field} is missing"))
}

pub(super) fn wrong(field: &str, found: &Value, expected: &str) -> Rejected {
    // Lengths and kinds only for text: rows may be confidential, and reports travel.
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(text) => format!("a string of {} characters", text.chars().count()),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".to_owned(),
    };
    Rejected::new(Reason::WrongType, format!("{field} is {found} where {expected} is expected"))
}
