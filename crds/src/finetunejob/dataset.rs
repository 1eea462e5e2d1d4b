//! `spec.dataset`.

use super::base_model::SecretReference;
use super::filters::Filters;
use crate::default::number;
use crate::{Decimal, pattern, rule};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The value of `chatTemplate` that stands for the template that comes with the tokenizer.
pub const TOKENIZER_DEFAULT: &str = "tokenizerDefault";

/// What to train on, and how it becomes tokens.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dataset {
    /// Where the rows are: one file, or a folder of shards read in name order. Schemes as for baseModel.storageUri.
    #[schemars(length(max = 2048), regex(pattern = pattern::SOURCE_URI))]
    pub storage_uri: String,
    /// The Secret with the credentials that reading the rows takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// What a row looks like.
    pub format: DatasetFormat,
    /// Where held-out rows come from. Without it nothing is held out and no validation loss is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// How messages become text: tokenizerDefault (the template that comes with the model) or a Jinja template.
    #[serde(default = "tokenizer_default")]
    #[schemars(length(min = 1, max = 65_536))]
    pub chat_template: String,
    /// The longest example, in tokens; with packing, the length of a row.
    #[serde(default = "number::<1024>")]
    #[schemars(range(min = 8, max = 1_048_576))]
    pub max_length: u32,
    /// What happens to a longer example: truncate cuts it, drop leaves it out and counts it, fail fails the job and names the row.
    #[serde(default)]
    pub excess_length_strategy: ExcessLengthStrategy,
    /// Whether rows of maxLength tokens are filled with several examples each, the longest first and out of the whole dataset (TRL packs each
    /// thousand examples apart); no token sees another example either way.
    #[serde(default)]
    pub packing: bool,
    /// Which rows are left out.
    #[serde(default)]
    pub filters: Filters,
}

fn tokenizer_default() -> String {
    TOKENIZER_DEFAULT.to_owned()
}

/// The shape of a data row.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatasetFormat {
    /// {"text": ...}: every token is learnt.
    Text,
    /// {"prompt": ..., "completion": ...}: the completion is learnt.
    PromptCompletion,
    /// {"messages": [{"role": ..., "content": ...}]}: the assistant's turns are learnt.
    Messages,
    /// {"instruction": ..., "input": ..., "output": ...}: the output is learnt.
    Alpaca,
}

/// Where held-out rows come from: a share of the dataset or rows of their own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule::rule(
    "has(self.split) != has(self.storageUri)",
    "give exactly one of split (a fraction of the dataset) and storageUri (rows of their own)"
))]
pub struct Validation {
    /// The fraction of the accepted rows that is held out, such as "0.05"; chosen by the seed and the row's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = rule::rule("double(self) > 0.0 && double(self) < 1.0", "must be a number between 0 and 1"))]
    pub split: Option<Decimal>,
    /// Where the held-out rows are. Schemes as for baseModel.storageUri.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = pattern::SOURCE_URI))]
    pub storage_uri: Option<String>,
}

/// What happens to an example of more than `maxLength` tokens.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExcessLengthStrategy {
    /// Its first maxLength tokens are kept.
    #[default]
    Truncate,
    /// It is left out and counted.
    Drop,
    /// The job fails and names the row.
    Fail,
}
