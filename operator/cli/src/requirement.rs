//! `--require`: thresholds that a finished job must meet.

use crate::exit::Stop;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a run measured, by the names that `--require` knows. A figure that was not measured is absent.
pub type Figures = BTreeMap<&'static str, f64>;

/// The names that `--require` knows.
pub const NAMES: [&str; 9] = [
    "perplexityDrop",
    "perplexityBefore",
    "perplexityAfter",
    "lossBefore",
    "lossAfter",
    "matchesBefore",
    "matchesAfter",
    "tokensPerSecond",
    "trainingSeconds",
];

/// One condition on a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirement {
    name: &'static str,
    comparison: Comparison,
    bound: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
}

/// The two-character signs first, so that `>=` is not read as `>`.
const SIGNS: [(&str, Comparison); 5] = [
    (">=", Comparison::AtLeast),
    ("<=", Comparison::AtMost),
    ("==", Comparison::Equal),
    (">", Comparison::Above),
    ("<", Comparison::Below),
];

/// Whether a requirement is met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The condition as written.
    pub condition: String,
    /// The figure; absent where it was not measured, which counts as missed.
    pub value: Option<f64>,
    /// Whether it holds.
    pub met: bool,
}

impl Requirement {
    /// Reads `NAME>=NUMBER` (also `<=`, `>`, `<`, `==`).
    pub fn parse(text: &str) -> Result<Self, Stop> {
        let wrong = |reason: String| {
            Stop::usage(format!("--require {text}: {reason}"), format!("write NAME>=NUMBER; the names are {}", NAMES.join(", ")))
        };
        let (name, comparison, bound) = SIGNS
            .iter()
            .find_map(|(sign, comparison)| text.split_once(sign).map(|(name, bound)| (name.trim(), *comparison, bound.trim())))
            .ok_or_else(|| wrong("there is no comparison in it".to_owned()))?;
        let name = NAMES.into_iter().find(|known| *known == name).ok_or_else(|| wrong(format!("{name:?} is not a figure of a run")))?;
        let bound: f64 = bound.parse().map_err(|_| wrong(format!("{bound:?} is not a number")))?;
        Ok(Self { name, comparison, bound, text: text.to_owned() })
    }

    /// Whether it needs answers to compare.
    pub fn needs_comparison(&self) -> bool {
        self.name.starts_with("matches")
    }

    /// Whether the figures meet it.
    pub fn check(&self, figures: &Figures) -> Verdict {
        let value = figures.get(self.name).copied();
        let met = value.is_some_and(|value| match self.comparison {
            Comparison::AtLeast => value >= self.bound,
            Comparison::AtMost => value <= self.bound,
            Comparison::Above => value > self.bound,
            Comparison::Below => value < self.bound,
            Comparison::Equal => value == self.bound,
        });
        Verdict { condition: self.text.clone(), value, met }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Requirement};

    fn met(condition: &str, value: f64) -> bool {
        Requirement::parse(condition).expect("valid").check(&Figures::from([("matchesAfter", value)])).met
    }

    #[test]
    fn each_comparison_holds_at_its_bound_or_not() {
        for (condition, below, at, above) in [
            ("matchesAfter>=8", false, true, true),
            ("matchesAfter <= 8", true, true, false),
            ("matchesAfter>8", false, false, true),
            ("matchesAfter<8", true, false, false),
            ("matchesAfter==8", false, true, false),
        ] {
            assert_eq!((met(condition, 7.0), met(condition, 8.0), met(condition, 9.0)), (below, at, above), "{condition}");
        }
    }

    #[test]
    fn what_was_not_measured_is_missed() {
        let verdict = Requirement::parse("lossAfter<9").expect("valid").check(&Figures::new());
        assert!(!verdict.met && verdict.value.is_none());
        assert!(!met("matchesAfter<=8", f64::NAN));
    }

    #[test]
    fn mistakes_are_named() {
        for (condition, part) in [("matchesAfter", "no comparison"), ("matchs>=1", "\"matchs\""), ("lossAfter<x", "\"x\"")] {
            let stop = Requirement::parse(condition).expect_err(condition);
            assert!(stop.message.contains(part) && stop.next_step.contains("perplexityDrop"), "{stop:?}");
        }
    }
}
