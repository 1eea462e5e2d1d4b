//! JSON files of bounded size, and typed access to their fields with errors that name file, field and value.

use crate::Error;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest configuration file that is read; real ones hold kilobytes, an index of a sharded model a few megabytes.
const LIMIT: u64 = 64 << 20;

/// The top-level object of a JSON file.
#[derive(Clone, Debug)]
pub(crate) struct JsonObject {
    pub(crate) path: PathBuf,
    pub(crate) fields: Map<String, Value>,
}

/// A file's text, up to `limit` bytes.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(Error::damaged(path, format!("it is larger than {limit} bytes, the most that such a file may hold")));
    }
    String::from_utf8(bytes).map_err(|error| Error::damaged(path, format!("it is not UTF-8 ({error})")))
}

impl JsonObject {
    pub(crate) fn read(path: &Path) -> Result<JsonObject, Error> {
        let text = read_text(path, LIMIT)?;
        let value: Value = serde_json::from_str(&text).map_err(|source| Error::Json { path: path.to_owned(), source })?;
        match value {
            Value::Object(fields) => Ok(JsonObject { path: path.to_owned(), fields }),
            other => Err(Error::damaged(path, format!("its top level is {}, not an object", kind(&other)))),
        }
    }

    /// A nested object as an object of its own, whose errors say `outer.inner`.
    pub(crate) fn object(&self, field: &str) -> Result<Option<&Map<String, Value>>, Error> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.error(field, other, "an object is expected")),
        }
    }

    /// The field's value; null counts as absent.
    pub(crate) fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn usize(&self, field: &str) -> Result<Option<usize>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.error(field, value, "a whole number from 0 is expected"))
    }

    pub(crate) fn f64(&self, field: &str) -> Result<Option<f64>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        number(value).map(Some).ok_or_else(|| self.error(field, value, "a finite number is expected"))
    }

    pub(crate) fn bool(&self, field: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.error(field, value, "true or false is expected"))
    }

    pub(crate) fn str(&self, field: &str) -> Result<Option<&str>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.error(field, value, "a string is expected"))
    }

    pub(crate) fn missing(&self, field: &str) -> Error {
        Error::field(&self.path, field, "missing", "the file must have it")
    }

    pub(crate) fn error(&self, field: &str, value: impl std::fmt::Display, reason: impl Into<String>) -> Error {
        Error::field(&self.path, field, value, reason)
    }
}

/// A finite number.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
