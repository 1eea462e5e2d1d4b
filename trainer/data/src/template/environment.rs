//! The Jinja environment of transformers: its settings, functions, tests and filters.

use super::{filters, generation, json, python_methods, python_text};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};
use std::time::SystemTime;

/// The function that gives the time, in a format of the template's.
pub(super) const TIME: &str = "strftime_now";

pub(super) fn new(now: Option<SystemTime>) -> Environment<'static> {
    let mut environment = Environment::new();
    // The default delimiters, so building cannot fail; without it the default syntax would stay.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(format);
    environment.set_unknown_method_callback(python_methods::call);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function(TIME, move |format: &str| strftime(format, now.unwrap_or_else(SystemTime::now)));
    environment.add_filter(generation::FILTER, generation::mark);
    environment.add_filter("tojson", json::to_json);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("string", |value: &Value| python_text::display(value));
    environment.add_filter("title", |text: &Value| python_text::title(&python_text::display(text)));
    // Python's protocols: a mapping and a string are sequences too.
    environment.add_test("sequence", |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String));
    environment.add_test("iterable", |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String | ValueKind::Iterable | ValueKind::Undefined)
    });
    // A boolean is an integer in Python, which Jinja's tests for numbers inherit in part.
    environment.add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    environment
}

/// Writes a value as Python's `str` does.
fn format(output: &mut Output, _state: &mut State, value: &Value) -> Result<(), Error> {
    output.write_str(&python_text::display(value)).map_err(|_| Error::from(ErrorKind::WriteFailure))
}

fn raise_exception(message: &Value, _: Kwargs) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, format!("the template says: {}", python_text::display(message))))
}

fn strftime(format: &str, now: SystemTime) -> Result<String, Error> {
    let fail = |error: jiff::Error| Error::new(ErrorKind::InvalidOperation, format!("strftime_now({format:?}): {error}"));
    let now = jiff::Timestamp::try_from(now).map_err(fail)?.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(format, &now).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::strftime;
    use std::time::{Duration, SystemTime};

    #[test]
    fn dates_are_written_as_python_writes_them() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_721_970_245);
        for (format, text) in [
            ("%d %b %Y", "26 Jul 2024"),
            ("%Y-%m-%d", "2024-07-26"),
            ("%B %d, %Y", "July 26, 2024"),
            ("%A %H:%M:%S %%", "Friday 05:04:05 %"),
        ] {
            assert_eq!(strftime(format, now).expect("a sound format"), text);
        }
    }
}
