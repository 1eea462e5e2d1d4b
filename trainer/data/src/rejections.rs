//! Rows that are left out: why, how many, and where the first ones are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use temper_contract::report::Rejection;

/// Why a row is left out. The names are the keys of the report and of the job's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The line is longer than 16 MiB.
    LineTooLong,
    /// The line is not UTF-8.
    InvalidUtf8,
    /// The line is not a JSON value.
    InvalidJson,
    /// A field has another type than its format says, or a value that it does not allow.
    WrongType,
    /// A field that the format needs is not there.
    MissingField,
    /// `messages` is an empty list.
    EmptyMessages,
    /// `messages` has more than 1024 entries.
    TooManyMessages,
    /// No message is the assistant's, so there is nothing to learn.
    NoAssistantTurn,
    /// The text is shorter than `filters.minLength`.
    TooShort,
    /// The text is longer than `filters.maxLength`.
    TooLong,
    /// The text does not match `filters.includePattern`, or matches `filters.excludePattern`.
    PatternExcluded,
    /// An earlier row has the same content.
    Duplicate,
    /// The chat template failed on the row, or does not render a conversation as the continuation of its beginning.
    TemplateFailed,
    /// The tokenizer failed on the row.
    TokenizerFailed,
    /// The row has more than `maxLength` tokens and `excessLengthStrategy` is `drop`.
    ExcessLength,
    /// No token is left for the loss to count (an empty completion, or truncation cut all of them off).
    NoTargets,
}

impl Reason {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 16] = [
        Self::LineTooLong,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::WrongType,
        Self::MissingField,
        Self::EmptyMessages,
        Self::TooManyMessages,
        Self::NoAssistantTurn,
        Self::TooShort,
        Self::TooLong,
        Self::PatternExcluded,
        Self::Duplicate,
        Self::TemplateFailed,
        Self::TokenizerFailed,
        Self::ExcessLength,
        Self::NoTargets,
    ];

    /// The key in reports.
    pub fn key(self) -> &'static str {
        match self {
            Self::LineTooLong => "LineTooLong",
            Self::InvalidUtf8 => "InvalidUtf8",
            Self::InvalidJson => "InvalidJson",
            Self::WrongType => "WrongType",
            Self::MissingField => "MissingField",
            Self::EmptyMessages => "EmptyMessages",
            Self::TooManyMessages => "TooManyMessages",
            Self::NoAssistantTurn => "NoAssistantTurn",
            Self::TooShort => "TooShort",
            Self::TooLong => "TooLong",
            Self::PatternExcluded => "PatternExcluded",
            Self::Duplicate => "Duplicate",
            Self::TemplateFailed => "TemplateFailed",
            Self::TokenizerFailed => "TokenizerFailed",
            Self::ExcessLength => "ExcessLength",
            Self::NoTargets => "NoTargets",
        }
    }
}

/// Why one row is left out, with what exactly was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The kind of trouble, which is counted.
    pub reason: Reason,
    /// The field, the value and what would do; shown for the first row of a reason.
    pub detail: String,
}

impl Rejected {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// Rows left out, counted by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    by_reason: BTreeMap<Reason, Counted>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted {
    count: u64,
    first: Vec<String>,
    detail: String,
}

/// So many places are remembered for each reason.
const PLACES: usize = 5;

impl Rejections {
    /// Counts one row, found at `place` (`file:line`).
    pub(crate) fn add(&mut self, place: impl FnOnce() -> String, rejected: Rejected) {
        let counted = self.by_reason.entry(rejected.reason).or_default();
        counted.count += 1;
        if counted.first.len() < PLACES {
            counted.first.push(place());
        }
        if counted.count == 1 {
            counted.detail = rejected.detail;
        }
    }

    /// Rows left out for any reason.
    pub fn total(&self) -> u64 {
        self.by_reason.values().map(|counted| counted.count).sum()
    }

    /// Rows left out for this reason.
    pub fn count(&self, reason: Reason) -> u64 {
        self.by_reason.get(&reason).map_or(0, |counted| counted.count)
    }

    /// As it stands in the report.
    pub fn to_report(&self) -> BTreeMap<String, Rejection> {
        let report = |(reason, counted): (&Reason, &Counted)| {
            (reason.key().to_owned(), Rejection { count: counted.count, first: counted.first.clone() })
        };
        self.by_reason.iter().map(report).collect()
    }

    /// A table for people: a line a reason with its count, the first places and what was wrong with the first.
    pub fn table(&self) -> String {
        let mut table = String::new();
        for (reason, counted) in &self.by_reason {
            let more = if counted.count as usize > counted.first.len() { ", ..." } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(table, "  {:<16} {:>8}  at {}{more}", reason.key(), counted.count, counted.first.join(", "));
            if !counted.detail.is_empty() {
                let _ = writeln!(table, "  {:<16} {:>8}  the first: {}", "", "", counted.detail);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Rejected, Rejections};

    #[test]
    fn the_first_places_are_kept_and_all_are_counted() {
        let mut rejections = Rejections::default();
        for line in 1..=9 {
            rejections.add(|| format!("rows.jsonl:{line}"), Rejected::new(Reason::InvalidJson, format!("error {line}")));
        }
        rejections.add(|| "rows.jsonl:10".to_owned(), Rejected::new(Reason::Duplicate, ""));
        assert_eq!((rejections.total(), rejections.count(Reason::InvalidJson)), (10, 9));
        let report = rejections.to_report();
        assert_eq!(report["InvalidJson"].first, ["rows.jsonl:1", "rows.jsonl:2", "rows.jsonl:3", "rows.jsonl:4", "rows.jsonl:5"]);
        assert_eq!(report["Duplicate"].count, 1);
        let table = rejections.table();
        assert!(table.contains("InvalidJson             9  at rows.jsonl:1") && table.contains("the first: error 1"), "{table}");
    }

    #[test]
    fn keys_are_the_names_of_the_variants() {
        for reason in Reason::ALL {
            assert_eq!(reason.key(), format!("{reason:?}"));
        }
    }
}
