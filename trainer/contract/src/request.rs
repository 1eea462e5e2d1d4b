//! What `temper` asks of `temper-trainer` outside a job: a JSON file given as `--request FILE` (or, for `inspect`, the job's
//! `--config FILE`), answered by JSON on standard output.
//!
//! | Command | Reads | Prints |
//! |---|---|---|
//! | `temper-trainer generate --request FILE` | [`GenerateRequest`] | one `report::Generation` a line, in the order of the prompts, each as soon as it is done |
//! | `temper-trainer evaluate --request FILE` | [`EvaluateRequest`] | one `report::EvaluationReport` |
//! | `temper-trainer inspect --config FILE` | `TrainerConfig` | one [`InspectReport`]; exit code 0 even when it lists problems |

use crate::config::{ChatTemplate, DatasetFormat, Device, ExcessLengthStrategy, Precision};
use crate::report::{DatasetCounts, Parameters};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Text to generate from a model, with or without an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GenerateRequest {
    /// A model folder or a `.gguf` file.
    pub model: PathBuf,
    /// A PEFT adapter's folder to put on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
    /// What to answer.
    pub prompts: Vec<Prompt>,
    /// How messages become text.
    pub chat_template: ChatTemplate,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// The longest answer, in tokens.
    pub max_new_tokens: usize,
    /// What to compute with.
    pub compute: Compute,
}

/// One thing to answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Prompt {
    /// A conversation, rendered by the chat template with the opening of the assistant's turn. Each message is an object with `role`
    /// and `content`, passed to the template as it is. `Generation::prompt` repeats the last message's content.
    Messages(Vec<serde_json::Value>),
    /// Text to go on from as it is, without a template (special tokens as the tokenizer adds them).
    Text(String),
}

/// How the next token is chosen. The fields are applied in the order of transformers' `generate`: temperature, top k, top p.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sampling {
    /// 0 takes the likeliest token (the other fields then have no effect).
    pub temperature: f64,
    /// Only the likeliest this many tokens; `None` or 0 keeps all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Only the likeliest tokens that together have this probability; `None` or 1 keeps all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Seed of the choice; the same seed gives the same text.
    pub seed: u64,
}

impl Sampling {
    /// The likeliest token each time.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: None, top_p: None, seed: 0 };
}

/// What to compute with, for commands outside a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compute {
    /// Number type of the matrix multiplications.
    pub precision: Precision,
    /// CPU or CUDA.
    pub device: Device,
    /// Intra-op threads.
    pub threads: usize,
}

/// A data set to measure a model's loss on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvaluateRequest {
    /// A model folder or a `.gguf` file.
    pub model: PathBuf,
    /// A PEFT adapter's folder to put on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
    /// A file, or a folder of shards read in name order.
    pub data: PathBuf,
    /// What a row looks like.
    pub format: DatasetFormat,
    /// How messages become text.
    pub chat_template: ChatTemplate,
    /// The longest example, in tokens.
    pub max_length: usize,
    /// What to do with a longer one.
    pub excess_length_strategy: ExcessLengthStrategy,
    /// Examples in a micro-batch.
    pub batch_size: usize,
    /// What to compute with.
    pub compute: Compute,
}

/// What a job's model and data say about it before it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectReport {
    /// What would make the job fail; empty when nothing was found.
    pub problems: Vec<Problem>,
    /// The base model, when it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelFacts>,
    /// The data, when it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetFacts>,
}

/// Something that would make the job fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The manifest's field (`spec.method.lora.targetModules`), or a file.
    pub field: String,
    /// The value and the reason.
    pub message: String,
    /// What to do next.
    pub next_step: String,
}

/// What is known about a base model from its headers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelFacts {
    /// `llama`, `mistral`, `qwen2`, `qwen3`.
    pub family: String,
    /// Parameters and how many would be trained.
    pub parameters: Parameters,
    /// Number of linear modules that get an adapter; 0 with full fine-tuning.
    pub adapted_modules: u64,
    /// Estimated peak memory of one rank, in bytes.
    pub memory_estimate_bytes: u64,
}

/// What is known about the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatasetFacts {
    /// Number of files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Rows by fate, when the data is prepared already or was read for this report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<DatasetCounts>,
}

#[cfg(test)]
mod tests {
    use super::{Compute, GenerateRequest, InspectReport, Prompt, Sampling};
    use crate::config::{ChatTemplate, Device, Precision};

    #[test]
    fn a_request_reads_back_as_written() {
        let request = GenerateRequest {
            model: "/models/base.gguf".into(),
            adapter: None,
            prompts: vec![Prompt::Messages(vec![serde_json::json!({"role": "user", "content": "Hi"})]), Prompt::Text("Once".to_owned())],
            chat_template: ChatTemplate::TokenizerDefault,
            sampling: Sampling::GREEDY,
            max_new_tokens: 64,
            compute: Compute { precision: Precision::Fp32, device: Device::Cpu, threads: 2 },
        };
        let json = serde_json::to_string(&request).expect("plain fields");
        assert!(json.contains(r#"{"messages":[{"role":"user","content":"Hi"}]},{"text":"Once"}"#), "{json}");
        assert_eq!(serde_json::from_str::<GenerateRequest>(&json).expect("what was written"), request);
    }

    #[test]
    fn an_inspect_report_may_leave_out_what_could_not_be_read() {
        let report: InspectReport = serde_json::from_str(r#"{"problems": []}"#).expect("nothing else is needed");
        assert_eq!(report, InspectReport::default());
    }
}
