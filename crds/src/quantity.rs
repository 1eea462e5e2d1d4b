//! An amount of a resource, as Kubernetes writes it.

use crate::pattern;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// An amount of a resource: a whole number, or text such as `500m` or `16Gi`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Quantity {
    /// A whole number without a unit.
    Number(i64),
    /// A number with a unit, or a number in quotes.
    Text(String),
}

impl Quantity {
    /// The amount in thousandths (millicores for `cpu`); `None` where the text is no quantity or does not fit.
    pub fn thousandths(&self) -> Option<u64> {
        let text = match self {
            Self::Number(number) => return u64::try_from(*number).ok()?.checked_mul(1000),
            Self::Text(text) => text.as_str(),
        };
        let digits_end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        let scale = match unit {
            "m" => 1.0,
            "" => 1e3,
            "k" => 1e6,
            "M" => 1e9,
            "G" => 1e12,
            "T" => 1e15,
            "P" => 1e18,
            "Ki" => 1e3 * 1024.0,
            "Mi" => 1e3 * 1024.0 * 1024.0,
            "Gi" => 1e3 * 1024.0 * 1024.0 * 1024.0,
            "Ti" => 1e3 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
            "Pi" => 1e3 * 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
            exponent => {
                let power = exponent.strip_prefix(['e', 'E'])?;
                10f64.powi(i32::from(power.parse::<u8>().ok()?)) * 1e3
            }
        };
        if !digits.starts_with(|first: char| first.is_ascii_digit()) || digits.ends_with('.') {
            return None;
        }
        let amount = digits.parse::<f64>().ok()? * scale;
        // Beyond 2^53 a double is no longer exact; no resource is that big.
        (amount <= 9.0e15).then_some(amount.ceil() as u64)
    }

    /// The amount in whole units, if it is whole.
    pub fn whole(&self) -> Option<u64> {
        self.thousandths().filter(|thousandths| thousandths % 1000 == 0).map(|thousandths| thousandths / 1000)
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(formatter),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "pattern": pattern::QUANTITY, "maxLength": 32 })
    }
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let table = [
            ("2", Some(2000)),
            ("500m", Some(500)),
            ("2.5", Some(2500)),
            ("1k", Some(1_000_000)),
            ("1Ki", Some(1_024_000)),
            ("1e3", Some(1_000_000)),
            ("16Gi", Some(17_179_869_184_000)),
            ("", None),
            ("m", None),
            (".5", None),
            ("1.", None),
            ("2 cores", None),
            ("-1", None),
            ("1.2.3", None),
            ("9999P", None),
        ];
        for (text, thousandths) in table {
            assert_eq!(Quantity::from(text).thousandths(), thousandths, "{text}");
        }
        assert_eq!(Quantity::Number(3).whole(), Some(3));
        assert_eq!(Quantity::Number(-3).whole(), None);
        assert_eq!(Quantity::from("1500m").whole(), None);
    }
}
