//! Metadata values.

use super::cursor::Cursor;

/// A metadata value. Integers of all widths are widened; the file's width has no meaning.
#[derive(Clone, Debug, PartialEq)]
pub enum GgufValue {
    /// uint8, 16, 32, 64.
    Unsigned(u64),
    /// int8, 16, 32, 64.
    Signed(i64),
    /// float32 and 64.
    Float(f64),
    /// bool.
    Bool(bool),
    /// string; bytes that are not UTF-8 are replaced.
    String(String),
    /// An array of integers or booleans.
    Integers(Vec<i64>),
    /// An array of floats.
    Floats(Vec<f64>),
    /// An array of strings.
    Strings(Vec<String>),
    /// An array of arrays, which no known key uses: skipped, only its length is kept.
    Nested(u64),
}

/// Arrays in arrays deeper than this are refused.
const MAX_DEPTH: u32 = 4;

const UINT8: u32 = 0;
const INT8: u32 = 1;
const UINT16: u32 = 2;
const INT16: u32 = 3;
const UINT32: u32 = 4;
const INT32: u32 = 5;
const FLOAT32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const UINT64: u32 = 10;
const INT64: u32 = 11;
const FLOAT64: u32 = 12;

impl GgufValue {
    pub(crate) fn read(cursor: &mut Cursor<'_>, key: &str) -> Result<GgufValue, String> {
        let kind = cursor.u32(key)?;
        read_value(cursor, kind, key, 0)
    }

    /// A number from 0, however it is stored.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            GgufValue::Unsigned(value) => Some(value),
            GgufValue::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// A finite number.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            GgufValue::Float(value) if value.is_finite() => Some(value),
            GgufValue::Unsigned(value) => Some(value as f64),
            GgufValue::Signed(value) => Some(value as f64),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            GgufValue::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            GgufValue::String(value) => Some(value),
            _ => None,
        }
    }
}

impl std::fmt::Display for GgufValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GgufValue::Unsigned(value) => write!(f, "{value}"),
            GgufValue::Signed(value) => write!(f, "{value}"),
            GgufValue::Float(value) => write!(f, "{value}"),
            GgufValue::Bool(value) => write!(f, "{value}"),
            GgufValue::String(value) => write!(f, "{value:?}"),
            GgufValue::Integers(list) => write!(f, "a list of {} integers", list.len()),
            GgufValue::Floats(list) => write!(f, "a list of {} floats", list.len()),
            GgufValue::Strings(list) => write!(f, "a list of {} strings", list.len()),
            GgufValue::Nested(length) => write!(f, "a list of {length} lists"),
        }
    }
}

/// Bytes of a scalar type; for strings and arrays the least that one can take.
fn least_bytes(kind: u32) -> Option<u64> {
    match kind {
        UINT8 | INT8 | BOOL => Some(1),
        UINT16 | INT16 => Some(2),
        UINT32 | INT32 | FLOAT32 => Some(4),
        UINT64 | INT64 | FLOAT64 | STRING => Some(8),
        ARRAY => Some(12),
        _ => None,
    }
}

fn read_value(cursor: &mut Cursor<'_>, kind: u32, key: &str, depth: u32) -> Result<GgufValue, String> {
    match kind {
        FLOAT32 => Ok(GgufValue::Float(f64::from(f32::from_le_bytes(cursor.array(key)?)))),
        FLOAT64 => Ok(GgufValue::Float(f64::from_le_bytes(cursor.array(key)?))),
        BOOL => Ok(GgufValue::Bool(cursor.array::<1>(key)?[0] != 0)),
        STRING => Ok(GgufValue::String(String::from_utf8_lossy(cursor.string(key)?).into_owned())),
        UINT64 => Ok(GgufValue::Unsigned(cursor.u64(key)?)),
        UINT8 | UINT16 | UINT32 => Ok(GgufValue::Unsigned(read_integer(cursor, kind, key)? as u64)),
        INT8 | INT16 | INT32 | INT64 => Ok(GgufValue::Signed(read_integer(cursor, kind, key)?)),
        ARRAY => read_array(cursor, key, depth),
        _ => Err(format!("{key} has the unknown value type {kind}")),
    }
}

fn read_integer(cursor: &mut Cursor<'_>, kind: u32, key: &str) -> Result<i64, String> {
    Ok(match kind {
        UINT8 | BOOL => i64::from(cursor.array::<1>(key)?[0]),
        INT8 => i64::from(i8::from_le_bytes(cursor.array(key)?)),
        UINT16 => i64::from(u16::from_le_bytes(cursor.array(key)?)),
        INT16 => i64::from(i16::from_le_bytes(cursor.array(key)?)),
        UINT32 => i64::from(u32::from_le_bytes(cursor.array(key)?)),
        INT32 => i64::from(i32::from_le_bytes(cursor.array(key)?)),
        // An unsigned 64-bit list element above i64's range has no use in any known key; it wraps.
        _ => i64::from_le_bytes(cursor.array(key)?),
    })
}

fn read_array(cursor: &mut Cursor<'_>, key: &str, depth: u32) -> Result<GgufValue, String> {
    let kind = cursor.u32(key)?;
    let length = cursor.u64(key)?;
    let least = least_bytes(kind).ok_or_else(|| format!("{key} is a list of the unknown value type {kind}"))?;
    // What is claimed must fit in what is left of the file before anything is reserved for it.
    let fits = length.checked_mul(least).is_some_and(|bytes| bytes <= cursor.remaining() as u64);
    if !fits {
        return Err(format!("{key} claims {length} list elements, more than the file can hold; it may be cut short"));
    }
    match kind {
        STRING => {
            // 24 bytes of a `String` against at least 8 in the file: at most three times the file, and growing as it is read.
            let mut list = Vec::new();
            for _ in 0..length {
                list.push(String::from_utf8_lossy(cursor.string(key)?).into_owned());
            }
            Ok(GgufValue::Strings(list))
        }
        FLOAT32 => {
            (0..length).map(|_| Ok(f64::from(f32::from_le_bytes(cursor.array(key)?)))).collect::<Result<_, String>>().map(GgufValue::Floats)
        }
        FLOAT64 => (0..length).map(|_| Ok(f64::from_le_bytes(cursor.array(key)?))).collect::<Result<_, String>>().map(GgufValue::Floats),
        ARRAY => {
            if depth >= MAX_DEPTH {
                return Err(format!("{key} nests lists more than {MAX_DEPTH} deep"));
            }
            for _ in 0..length {
                read_array(cursor, key, depth + 1)?;
            }
            Ok(GgufValue::Nested(length))
        }
        _ => (0..length).map(|_| read_integer(cursor, kind, key)).collect::<Result<_, String>>().map(GgufValue::Integers),
    }
}
