//! Values as text, as Python's `str` and `repr` write them.

use minijinja::Value;
use minijinja::value::ValueKind;
use std::fmt::Write;

/// `str(value)`.
pub(super) fn display(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        ValueKind::Number | ValueKind::Seq | ValueKind::Map => repr(value),
        _ => value.to_string(),
    }
}

/// `repr(value)`.
fn repr(value: &Value) -> String {
    let mut text = String::new();
    write_repr(value, &mut text);
    text
}

fn write_repr(value: &Value, text: &mut String) {
    match value.kind() {
        ValueKind::Number => match as_float(value) {
            Some(number) => text.push_str(&float(number)),
            None => text.push_str(&value.to_string()),
        },
        ValueKind::String => write_string(value.as_str().unwrap_or_default(), text),
        ValueKind::Seq => {
            let items: Vec<Value> = value.try_iter().into_iter().flatten().collect();
            let (open, close) = if value.is_tuple() { ('(', ")") } else { ('[', "]") };
            text.push(open);
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                write_repr(item, text);
            }
            if value.is_tuple() && items.len() == 1 {
                text.push(',');
            }
            text.push_str(close);
        }
        // A namespace or a loop is a map to the engine, but no dictionary.
        ValueKind::Map => {
            text.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                write_repr(&key, text);
                text.push_str(": ");
                write_repr(&value.get_item(&key).unwrap_or_default(), text);
            }
            text.push('}');
        }
        // Debug output is Python's `repr` for the rest; writing to a string cannot fail.
        _ => drop(write!(text, "{value:?}")),
    }
}

/// The number, if it is not an integer to Python.
pub(super) fn as_float(value: &Value) -> Option<f64> {
    if value.is_integer() { None } else { f64::try_from(value.clone()).ok() }
}

/// A float as Python writes it: the shortest digits that read back the same, with an exponent below 1e-4 and from 1e16 on.
pub(super) fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number != 0.0 && !(1e-4..1e16).contains(&number.abs()) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{number:?}")
}

/// A string in quotes, with Python's choice of quotes and escapes.
fn write_string(string: &str, text: &mut String) {
    let quote = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    text.push(quote);
    for letter in string.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            letter if letter == quote => {
                text.push('\\');
                text.push(letter);
            }
            letter if !is_printable(letter) => {
                let code = u32::from(letter);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(text, "\\x{code:02x}"),
                    0x100..=0xffff => write!(text, "\\u{code:04x}"),
                    _ => write!(text, "\\U{code:08x}"),
                };
            }
            letter => text.push(letter),
        }
    }
    text.push(quote);
}

/// Close to `str.isprintable`: neither control nor (other than the plain space) separator. Unassigned characters are not told apart.
fn is_printable(letter: char) -> bool {
    !letter.is_control()
        && (letter == ' ' || !letter.is_whitespace())
        && !matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{fffb}')
}

/// What `str.strip` and `str.split` take for white space.
pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{1c}'..='\u{1f}')
}

/// `str.title`: a letter after anything but a letter is upper case, every other one lower case.
pub(super) fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut in_word = false;
    for letter in text.chars() {
        if in_word {
            titled.extend(letter.to_lowercase());
        } else {
            titled.extend(letter.to_uppercase());
        }
        in_word = letter.is_alphabetic();
    }
    titled
}

#[cfg(test)]
mod tests {
    use super::{display, float, title};
    use crate::template::python::value;
    use serde_json::json;

    #[test]
    fn values_are_written_as_python_writes_them() {
        // Texts are those of Python's str() of the same value.
        let table = [
            (json!(null), "None"),
            (json!(true), "True"),
            (json!([1, 2.0, "a", null, false, []]), "[1, 2.0, 'a', None, False, []]"),
            (json!({"b": 1, "a": {"c": "d"}}), "{'b': 1, 'a': {'c': 'd'}}"),
            (json!(["it's", "\"", "'\"", "\n\t\\\u{0}\u{e9}\u{200b}"]), r#"["it's", '"', '\'"', '\n\t\\\x00é\u200b']"#),
            (json!("it's"), "it's"),
            (json!(1e16), "1e+16"),
            (json!(18446744073709551615u64), "18446744073709551615"),
        ];
        for (json, text) in table {
            assert_eq!(display(&value(&json)), text);
        }
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let table = [
            (0.1, "0.1"),
            (100.0, "100.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e100, "1e+100"),
            (-0.0, "-0.0"),
            (123456789.123, "123456789.123"),
        ];
        for (number, text) in table {
            assert_eq!(float(number), text);
        }
    }

    #[test]
    fn titles_are_pythons() {
        assert_eq!(title("they're bill's friends from the UK 3d"), "They'Re Bill'S Friends From The Uk 3D");
    }
}
