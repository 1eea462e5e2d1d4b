//! What a dry run found, as a value: for tables and for machines.

use serde::Serialize;
use serde_json::Value;

/// What would become of one manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The job's name.
    pub job: String,
    /// The namespace.
    pub namespace: String,
    /// What applying the manifest would do.
    pub action: Action,
    /// What the API server says against it; empty if nothing.
    pub refusal: Option<Refusal>,
    /// What the operator would make, in order.
    pub objects: Vec<Made>,
    /// The version that would be registered.
    pub model_version: Option<String>,
    /// What the spec names, and whether it is there.
    pub references: Vec<Reference>,
    /// What training is estimated to take, where the model's headers can be read here.
    pub memory: Option<Memory>,
    /// Whether machines have room for the training pods now.
    pub room: Option<Room>,
    /// What may go wrong, though nothing is refused.
    pub warnings: Vec<String>,
    /// What could not be looked at.
    pub not_checked: Vec<String>,
}

impl Preview {
    /// Whether the API server refuses something.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some() || self.objects.iter().any(|object| object.verdict == Verdict::Refused)
    }
}

/// What applying a manifest does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// There is no such job yet.
    #[default]
    Create,
    /// There is one, and it changes.
    Change,
    /// There is one, and it stays as it is.
    Nothing,
}

/// What the API server says against something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// In its own words.
    pub message: String,
    /// Field by field, where it says so.
    pub causes: Vec<Cause>,
}

/// What is wrong with a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// The field, such as `spec.dataset.format`.
    pub field: String,
    /// What is wrong, in the API server's words.
    pub message: String,
    /// The line of the manifest; 0 where there is none.
    pub line: u64,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// The stage that it is made for.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How many of them.
    pub count: u64,
    /// What the API server makes of it.
    pub verdict: Verdict,
    /// Why, where it is not accepted.
    pub message: String,
    /// The object.
    pub manifest: Value,
}

/// What the API server makes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It takes it.
    Accepted,
    /// It refuses it.
    Refused,
    /// It was not asked.
    NotChecked,
}

/// Something that the spec names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The fields that name it.
    pub fields: Vec<String>,
    /// Whether it is there; `None` where that may not be seen.
    pub found: Option<bool>,
    /// How it is, or why it could not be seen.
    pub detail: String,
}

/// What training is estimated to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The architecture.
    pub family: String,
    /// Parameters, adapters included.
    pub parameters: u64,
    /// Those that are trained.
    pub trainable: u64,
    /// Peak memory of one process, in bytes.
    pub bytes_per_process: u64,
    /// Of all processes of a pod.
    pub bytes_per_pod: u64,
    /// Why it cannot fit, if it cannot.
    pub excess: Option<String>,
}

/// Whether machines have room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Machines that there are.
    pub machines: usize,
    /// Pods that are to run at the same time.
    pub pods: usize,
    /// Pods that find room.
    pub placed: usize,
    /// Why machines take none, with how many say so.
    pub reasons: Vec<(String, usize)>,
    /// Whether what runs on the machines is counted.
    pub counts_running: bool,
}
