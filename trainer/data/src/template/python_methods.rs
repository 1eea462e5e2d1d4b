//! Python's methods on strings, dictionaries and lists, as templates call them. Those that would change a value are refused, as
//! transformers' sandbox refuses them.

use super::python_text::{display, is_space, title};
use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// Called by the engine for every method that a value does not have itself.
pub(super) fn call(_state: &mut State, value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => string(value.as_str().unwrap_or_default(), method, arguments),
        ValueKind::Map => mapping(value, method, arguments),
        ValueKind::Seq => sequence(value, method, arguments),
        _ => Err(unknown(value.kind(), method)),
    }
}

fn unknown(kind: ValueKind, method: &str) -> Error {
    Error::new(ErrorKind::UnknownMethod, format!("a {kind} has no method {method}"))
}

fn string(text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let affix = |matches: &dyn Fn(&str) -> bool| -> Result<Value, Error> {
        let (affix,): (Value,) = from_args(arguments)?;
        Ok(Value::from(match affix.as_str() {
            Some(affix) => matches(affix),
            None => affix.try_iter()?.any(|affix| affix.as_str().is_some_and(matches)),
        }))
    };
    let all = |test: fn(char) -> bool| Value::from(!text.is_empty() && text.chars().all(test));
    let position = |byte: Option<usize>| Value::from(byte.map_or(-1, |byte| text[..byte].chars().count() as i64));
    Ok(match method {
        "strip" => strip(text, arguments, true, true)?,
        "lstrip" => strip(text, arguments, true, false)?,
        "rstrip" => strip(text, arguments, false, true)?,
        "split" => split(text, arguments, false)?,
        "rsplit" => split(text, arguments, true)?,
        "splitlines" => Value::from(lines(text).into_iter().map(Value::from).collect::<Vec<Value>>()),
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            let found = if method == "partition" { text.find(separator) } else { text.rfind(separator) };
            let parts = match (found, method) {
                (Some(at), _) => [&text[..at], separator, &text[at + separator.len()..]],
                (None, "partition") => [text, "", ""],
                (None, _) => ["", "", text],
            };
            Value::from(Tuple::from(parts.map(Value::from)))
        }
        "startswith" => affix(&|affix| text.starts_with(affix))?,
        "endswith" => affix(&|affix| text.ends_with(affix))?,
        "removeprefix" => {
            let (affix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_prefix(affix).unwrap_or(text))
        }
        "removesuffix" => {
            let (affix,): (&str,) = from_args(arguments)?;
            Value::from(text.strip_suffix(affix).unwrap_or(text))
        }
        "upper" => Value::from(text.to_uppercase()),
        "lower" | "casefold" => Value::from(text.to_lowercase()),
        "title" => Value::from(title(text)),
        "capitalize" => {
            let mut letters = text.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::from(first + &letters.as_str().to_lowercase())
        }
        "replace" => {
            let (old, new, count): (&str, &str, Option<i64>) = from_args(arguments)?;
            Value::from(match count.and_then(|count| usize::try_from(count).ok()) {
                Some(count) => text.replacen(old, new, count),
                None => text.replace(old, new),
            })
        }
        "join" => {
            let (items,): (Value,) = from_args(arguments)?;
            Value::from(items.try_iter()?.map(|item| display(&item)).collect::<Vec<String>>().join(text))
        }
        "find" => {
            let (part,): (&str,) = from_args(arguments)?;
            position(text.find(part))
        }
        "rfind" => {
            let (part,): (&str,) = from_args(arguments)?;
            position(text.rfind(part))
        }
        "index" => {
            let (part,): (&str,) = from_args(arguments)?;
            match text.find(part) {
                None => return Err(Error::new(ErrorKind::InvalidOperation, "substring not found")),
                found => position(found),
            }
        }
        "count" => {
            let (part,): (&str,) = from_args(arguments)?;
            Value::from(text.matches(part).count())
        }
        "isdigit" | "isdecimal" | "isnumeric" => all(char::is_numeric),
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isspace" => all(is_space),
        "isascii" => Value::from(text.is_ascii()),
        "isupper" => Value::from(text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)),
        "islower" => Value::from(text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)),
        "zfill" => {
            let (width,): (usize,) = from_args(arguments)?;
            let missing = width.min(1 << 16).saturating_sub(text.chars().count());
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            Value::from(format!("{sign}{}{digits}", "0".repeat(missing)))
        }
        "ljust" | "rjust" => {
            let (width, fill): (usize, Option<&str>) = from_args(arguments)?;
            let fill = fill.unwrap_or(" ").repeat(width.min(1 << 16).saturating_sub(text.chars().count()));
            Value::from(if method == "ljust" { format!("{text}{fill}") } else { format!("{fill}{text}") })
        }
        "format" => Value::from(format(FormatStyle::StrFormat, text, arguments)?),
        _ => return Err(unknown(ValueKind::String, method)),
    })
}

fn strip(text: &str, arguments: &[Value], start: bool, end: bool) -> Result<Value, Error> {
    let (characters,): (Option<Value>,) = from_args(arguments)?;
    let characters = characters.filter(|characters| !characters.is_none());
    let matches = |letter: char| match characters.as_ref().and_then(Value::as_str) {
        Some(characters) => characters.contains(letter),
        None => is_space(letter),
    };
    let text = if start { text.trim_start_matches(matches) } else { text };
    Ok(Value::from(if end { text.trim_end_matches(matches) } else { text }))
}

fn split(text: &str, arguments: &[Value], from_end: bool) -> Result<Value, Error> {
    let (separator, limit, options): (Option<Value>, Option<i64>, Kwargs) = from_args(arguments)?;
    let separator = match separator {
        Some(separator) => Some(separator),
        None => options.get::<Option<Value>>("sep")?,
    };
    let limit = match limit {
        Some(limit) => Some(limit),
        None => options.get::<Option<i64>>("maxsplit")?,
    };
    options.assert_all_used()?;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX - 1) + 1;
    let mut parts: Vec<&str> = match separator.as_ref().and_then(Value::as_str) {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(separator) if from_end => text.rsplitn(limit, separator).collect(),
        Some(separator) => text.splitn(limit, separator).collect(),
        None => words(text, limit, from_end),
    };
    if from_end {
        parts.reverse();
    }
    Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<Value>>()))
}

/// Splits at runs of white space into at most `limit` parts, none of them empty; from the end, the last part comes first.
fn words(text: &str, limit: usize, from_end: bool) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_matches(is_space);
    while !rest.is_empty() {
        let cut = if parts.len() + 1 == limit {
            None
        } else if from_end {
            rest.rfind(is_space)
        } else {
            rest.find(is_space)
        };
        let Some(at) = cut else {
            parts.push(rest);
            break;
        };
        let after = at + rest[at..].chars().next().map_or(0, char::len_utf8);
        if from_end {
            parts.push(&rest[after..]);
            rest = rest[..at].trim_end_matches(is_space);
        } else {
            parts.push(&rest[..at]);
            rest = rest[after..].trim_start_matches(is_space);
        }
    }
    parts
}

/// `str.splitlines`: also at carriage returns and the other line ends of Unicode.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) =
        rest.find(|letter| matches!(letter, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'))
    {
        lines.push(&rest[..at]);
        let end = if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(0, char::len_utf8) };
        rest = &rest[at + end..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

fn mapping(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let keys = || -> Result<Vec<Value>, Error> { Ok(value.try_iter()?.collect()) };
    match method {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(arguments)?;
            let found = value.get_item(&key)?;
            Ok(if found.is_undefined() { default.unwrap_or_else(|| Value::from(())) } else { found })
        }
        "keys" => Ok(Value::from(keys()?)),
        "values" => Ok(Value::from(keys()?.iter().map(|key| value.get_item(key)).collect::<Result<Vec<Value>, Error>>()?)),
        "items" => {
            let pair = |key: Value| -> Result<Value, Error> { Ok(Value::from(Tuple::from([key.clone(), value.get_item(&key)?]))) };
            Ok(Value::from(keys()?.into_iter().map(pair).collect::<Result<Vec<Value>, Error>>()?))
        }
        "copy" => Ok(value.clone()),
        "pop" | "popitem" | "update" | "setdefault" | "clear" => Err(changes(method)),
        _ => Err(unknown(ValueKind::Map, method)),
    }
}

fn sequence(value: &Value, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match method {
        "count" | "index" => {
            let (wanted,): (Value,) = from_args(arguments)?;
            if method == "count" {
                return Ok(Value::from(value.try_iter()?.filter(|item| *item == wanted).count()));
            }
            let found = value.try_iter()?.position(|item| item == wanted);
            found.map(Value::from).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{} is not in list", display(&wanted))))
        }
        "copy" => Ok(value.clone()),
        "append" | "extend" | "insert" | "pop" | "remove" | "reverse" | "sort" | "clear" => Err(changes(method)),
        _ => Err(unknown(ValueKind::Seq, method)),
    }
}

fn changes(method: &str) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("{method} would change a value, which templates may not do (transformers refuses it too)"),
    )
}
