//! The problems found so far, and the checks that many fields share.

use crate::capabilities::{Capabilities, Target};
use crate::problem::Problem;
use std::fmt::Display;
use std::ops::RangeInclusive;
use temper_crds::Decimal;

/// The problems found so far.
pub(super) struct Findings {
    pub(super) capabilities: Capabilities,
    problems: Vec<Problem>,
}

impl Findings {
    pub(super) fn new(capabilities: Capabilities) -> Self {
        Self { capabilities, problems: Vec::new() }
    }

    pub(super) fn result<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }

    pub(super) fn is_local(&self) -> bool {
        self.capabilities.target == Target::Local
    }

    pub(super) fn wrong(&mut self, path: &str, value: impl Display, reason: impl Into<String>, next_step: impl Into<String>) {
        self.problems.push(Problem::new(path, value, reason, next_step));
    }

    /// A field that the API has and this version does not carry out.
    pub(super) fn not_supported(&mut self, path: &str, value: impl Display, next_step: &str) {
        self.problems.push(Problem::not_supported(path, value, next_step));
    }

    /// The same for a field that is refused only if it is set.
    pub(super) fn not_supported_if<T>(&mut self, field: Option<&T>, path: &str, shown: impl FnOnce(&T) -> String) {
        if let Some(value) = field {
            self.not_supported(path, shown(value), "remove the field");
        }
    }

    /// A whole number within bounds; the schema has the same ones.
    pub(super) fn whole(&mut self, number: u32, bounds: RangeInclusive<u32>, path: &str) {
        if !bounds.contains(&number) {
            let reason = format!("must be from {} to {}", bounds.start(), bounds.end());
            self.wrong(path, number, reason, "choose a number in that range");
        }
    }

    /// The same for a number that may be absent.
    pub(super) fn whole_if(&mut self, number: Option<u32>, bounds: RangeInclusive<u32>, path: &str) {
        if let Some(number) = number {
            self.whole(number, bounds, path);
        }
    }

    /// A decimal's number, if it is one that `allowed` takes; `wanted` says in words what that is. NaN stands for one that is wrong.
    pub(super) fn decimal(&mut self, decimal: &Decimal, path: &str, wanted: &str, allowed: impl Fn(f64) -> bool) -> f64 {
        match decimal.value() {
            Some(number) if allowed(number) => number,
            Some(_) => {
                self.wrong(path, decimal, format!("must be {wanted}"), "choose a number in that range");
                f64::NAN
            }
            None => {
                self.wrong(path, decimal, "is not a decimal number", "write it as in \"0.05\" or \"2e-4\"");
                f64::NAN
            }
        }
    }

    /// A regular expression that compiles.
    pub(super) fn pattern(&mut self, pattern: Option<&String>, path: &str) {
        if let Some(pattern) = pattern
            && let Err(error) = regex::Regex::new(pattern)
        {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or("cannot be read").trim().trim_start_matches("error: ").to_owned();
            self.wrong(
                path,
                pattern,
                format!("is not a regular expression: {reason}"),
                "mend it; look-around and back references are not known",
            );
        }
    }
}
