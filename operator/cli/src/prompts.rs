//! Prompts from the command line and from JSONL files.

use crate::exit::Stop;
use serde_json::{Value, json};
use std::path::Path;
use temper_contract::request::Prompt;

/// A user's text as a conversation, after a system message if there is one.
pub fn conversation(system: Option<&str>, text: &str) -> Prompt {
    let system = system.map(|content| json!({"role": "system", "content": content}));
    Prompt::Messages(system.into_iter().chain([json!({"role": "user", "content": text})]).collect())
}

/// The prompts in a JSONL file: `{"prompt": ...}` is a user's text, `{"messages": [...]}` a conversation (what the assistant says at its
/// end is left out), `{"text": ...}` text to go on from as it is. `-` reads standard input.
pub fn read(path: &Path, flag: &str, system: Option<&str>, raw: bool) -> Result<Vec<Prompt>, Stop> {
    let text = crate::input::read_text(path).map_err(|error| {
        Stop::invalid(format!("{flag}: cannot read {}: {error}", path.display()), "give a JSONL file of {\"prompt\": ...} rows")
    })?;
    let mut prompts = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let prompt = parse(line, system, raw).map_err(|reason| {
            Stop::invalid(
                format!("{flag}: {}:{}: {reason}", path.display(), number + 1),
                "write {\"prompt\": TEXT}, {\"text\": TEXT} or {\"messages\": [{\"role\": ..., \"content\": ...}]}",
            )
        })?;
        prompts.push(prompt);
    }
    if prompts.is_empty() {
        return Err(Stop::invalid(format!("{flag}: {} has no prompts", path.display()), "write one {\"prompt\": TEXT} a line"));
    }
    Ok(prompts)
}

fn parse(line: &str, system: Option<&str>, raw: bool) -> Result<Prompt, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("the line is not JSON: {error}"))?;
    if let Some(text) = value.get("prompt").and_then(Value::as_str) {
        return Ok(if raw { Prompt::Text(text.to_owned()) } else { conversation(system, text) });
    }
    if let Some(text) = value.get("text").and_then(Value::as_str) {
        return Ok(Prompt::Text(text.to_owned()));
    }
    let Some(Value::Array(messages)) = value.get("messages") else {
        return Err("the row has neither \"prompt\", \"text\" nor \"messages\"".to_owned());
    };
    let is_from = |message: &Value, role: &str| message.get("role").and_then(Value::as_str) == Some(role);
    let asked = messages.iter().rposition(|message| !is_from(message, "assistant")).map_or(0, |last| last + 1);
    let mut messages = messages[..asked].to_vec();
    if messages.is_empty() {
        return Err("\"messages\" asks nothing".to_owned());
    }
    if let Some(content) = system.filter(|_| !is_from(&messages[0], "system")) {
        messages.insert(0, json!({"role": "system", "content": content}));
    }
    Ok(Prompt::Messages(messages))
}

#[cfg(test)]
mod tests {
    use super::{conversation, parse, read};
    use serde_json::json;
    use temper_contract::request::Prompt;

    #[test]
    fn each_kind_of_row_is_understood() {
        assert_eq!(parse(r#"{"prompt": "Hi"}"#, None, false), Ok(conversation(None, "Hi")));
        assert_eq!(parse(r#"{"prompt": "Hi"}"#, None, true), Ok(Prompt::Text("Hi".to_owned())));
        assert_eq!(parse(r#"{"text": "Once"}"#, Some("s"), false), Ok(Prompt::Text("Once".to_owned())));
        let row = r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]}"#;
        let expected = vec![json!({"role": "system", "content": "Be brief"}), json!({"role": "user", "content": "Hi"})];
        assert_eq!(parse(row, Some("Be brief"), false), Ok(Prompt::Messages(expected)));
    }

    #[test]
    fn a_bad_row_is_named_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("prompts.jsonl");
        for (text, part) in [
            ("{\"prompt\": \"a\"}\n\n{\"promt\": \"b\"}\n", "prompts.jsonl:3: the row has neither"),
            ("{\n", "prompts.jsonl:1: the line is not JSON"),
            ("{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]}", "asks nothing"),
            ("\n", "has no prompts"),
        ] {
            std::fs::write(&path, text).expect("written");
            let message = read(&path, "--prompts", None, false).expect_err(text).message;
            assert!(message.starts_with("--prompts: ") && message.contains(part), "{message}");
        }
    }
}
