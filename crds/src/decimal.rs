//! A decimal number that is kept as the text the user wrote.

use crate::pattern;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A decimal number as text, such as `2e-4`: a float would change its digits on the way through JSON and make a manifest drift.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Decimal(pub String);

impl Decimal {
    /// The number, if the text is a finite one in the form that the schema asks for.
    pub fn value(&self) -> Option<f64> {
        let plain = self.0.starts_with(|first: char| first.is_ascii_digit() || first == '-')
            && self.0.ends_with(|last: char| last.is_ascii_digit())
            && self.0.chars().all(|character| character.is_ascii_digit() || matches!(character, '.' | '-' | '+' | 'e' | 'E'));
        if !plain {
            return None;
        }
        self.0.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// A measured number, rounded to six significant digits: enough for a person, and stable in a status.
    pub fn rounded(number: f64) -> Option<Self> {
        if !number.is_finite() {
            return None;
        }
        if number == 0.0 {
            return Some(Self("0".to_owned()));
        }
        let magnitude = number.abs().log10().floor() as i32;
        if !(-5..=14).contains(&magnitude) {
            return Some(Self(format!("{number:.5e}")));
        }
        let decimals = (5 - magnitude).max(0) as usize;
        let text = format!("{number:.decimals$}");
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        Some(Self(text.to_owned()))
    }
}

impl From<&str> for Decimal {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": pattern::DECIMAL, "maxLength": 32 })
    }
}

#[cfg(test)]
mod tests {
    use super::Decimal;

    #[test]
    fn text_becomes_a_number_only_in_the_schemas_form() {
        for (text, number) in [("2e-4", Some(2e-4)), ("0.05", Some(0.05)), ("-1", Some(-1.0)), ("1E+3", Some(1000.0))] {
            assert_eq!(Decimal::from(text).value(), number, "{text}");
        }
        for text in ["", "nan", "inf", "1e999", ".5", "1.", "0x10", "1 ", "+1", "1_000"] {
            assert_eq!(Decimal::from(text).value(), None, "{text}");
        }
    }

    #[test]
    fn measurements_keep_six_digits() {
        for (number, text) in
            [(0.0, "0"), (1.234_567_89, "1.23457"), (1234.5, "1234.5"), (2e-4, "0.0002"), (3.0e9, "3000000000"), (1.5e-9, "1.50000e-9")]
        {
            assert_eq!(Decimal::rounded(number).map(|decimal| decimal.0).as_deref(), Some(text));
        }
        assert_eq!(Decimal::rounded(f64::NAN), None);
    }
}
