//! `spec.dataset.filters`.

use crate::default::{default_is_empty_object, number};
use crate::{Decimal, rule};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Which rows are left out; each is counted by reason. Lengths are in characters of the row's text.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::rule(
    "!has(self.minLength) || !has(self.maxLength) || self.minLength <= self.maxLength",
    "minLength must not be greater than maxLength"
))]
pub struct Filters {
    /// The shortest text kept, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub min_length: Option<u32>,
    /// The longest text kept, in characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_length: Option<u32>,
    /// Whether only the first of rows with the same content is kept.
    #[serde(default)]
    pub exact_deduplication: bool,
    /// Leaves out rows that nearly repeat an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near_deduplication: Option<NearDeduplication>,
    /// Leaves out rows that repeat themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition: Option<Repetition>,
    /// A regular expression; only rows whose text matches are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub include_pattern: Option<String>,
    /// A regular expression; rows whose text matches are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub exclude_pattern: Option<String>,
    /// The job fails when more than this fraction of the rows is left out, for whatever reason.
    #[serde(default = "a_tenth")]
    #[x_kube(validation = rule::between("0.0", "1.0"))]
    pub max_rejected_fraction: Decimal,
}

default_is_empty_object!(Filters);

fn a_tenth() -> Decimal {
    Decimal::from("0.1")
}

/// Leaves out rows whose sets of word n-grams are nearly those of an earlier row (estimated by MinHash).
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NearDeduplication {
    /// The Jaccard similarity from which two rows count as the same.
    #[serde(default = "four_fifths")]
    #[x_kube(validation = rule::positive("1.0"))]
    pub threshold: Decimal,
}

fn four_fifths() -> Decimal {
    Decimal::from("0.8")
}

/// Leaves out rows of which too much is repeated word n-grams.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repetition {
    /// Words in an n-gram.
    #[serde(default = "number::<5>")]
    #[schemars(range(min = 1, max = 100))]
    pub ngram_size: u32,
    /// The largest share of the row's text that may be repeats of an earlier n-gram.
    #[serde(default = "a_fifth")]
    #[x_kube(validation = rule::between("0.0", "1.0"))]
    pub max_fraction: Decimal,
}

fn a_fifth() -> Decimal {
    Decimal::from("0.2")
}
