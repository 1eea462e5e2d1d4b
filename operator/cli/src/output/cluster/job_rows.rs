//! FineTuneJobs as rows: the columns of `kubectl get finetunejobs`, and a bar where it can be seen.
//!
//! Rows are read from JSON as the CRD's own columns are, so that a job with fields of a later version is shown too.

use crate::output::cluster::age;
use crate::output::cluster::columns::Cell;
use crate::output::cluster::gauge::bar;
use crate::output::terminal::Colour;
use jiff::Timestamp;
use serde_json::Value;

/// Which columns there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The namespace first.
    pub namespace: bool,
    /// The bar.
    pub bar: bool,
    /// What `-o wide` adds.
    pub wide: bool,
}

/// Characters of the bar.
const BAR: usize = 20;

/// The columns' names.
pub fn head(look: Look) -> Vec<&'static str> {
    let mut head = vec!["NAME", "STATUS"];
    if look.namespace {
        head.insert(0, "NAMESPACE");
    }
    if look.bar {
        head.push("PROGRESS");
    }
    head.extend(["STEP", "TOTAL", "LOSS", "ETA", "RESTARTS"]);
    if look.wide {
        head.extend(["NODES", "MODEL"]);
    }
    head.push("AGE");
    head
}

/// One job.
pub fn row(job: &Value, look: Look, now: Timestamp) -> Vec<Cell> {
    let text = |pointer: &str| Cell::from(shown(job.pointer(pointer)));
    let mut row = vec![text("/metadata/name"), status(job)];
    if look.namespace {
        row.insert(0, text("/metadata/namespace"));
    }
    if look.bar {
        let percent = job.pointer("/status/trainerStatus/progressPercentage").and_then(Value::as_u64);
        row.push(percent.map_or_else(Cell::default, |percent| Cell::from(format!("{} {percent:>3}%", bar(percent, BAR)))));
    }
    row.extend([
        text("/status/trainerStatus/step"),
        text("/status/trainerStatus/totalSteps"),
        text("/status/trainerStatus/metrics/trainingLoss"),
        text("/status/trainerStatus/estimatedRemaining"),
        text("/status/restarts"),
    ]);
    if look.wide {
        let count = |field: &str| job.pointer(&format!("/spec/trainer/{field}")).and_then(Value::as_u64).unwrap_or(1);
        row.push(Cell::from(format!("{}x{}", count("numNodes"), count("numProcPerNode"))));
        row.push(text("/status/modelVersion/name"));
    }
    row.push(Cell::from(age_of(job, now)));
    row
}

/// How long ago an object was made.
pub fn age_of(object: &Value, now: Timestamp) -> String {
    let created = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str).and_then(|text| text.parse().ok());
    created.map_or_else(|| "<unknown>".to_owned(), |created| age::between(created, now))
}

/// A value in a cell; one that is absent leaves it empty.
pub fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Ready's reason, which is the state in a word.
fn status(job: &Value) -> Cell {
    if job.pointer("/metadata/deletionTimestamp").is_some() {
        return Cell::painted("Terminating", Colour::Dim);
    }
    let condition = |type_: &str| {
        let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
        conditions.into_iter().flatten().find(|condition| condition["type"] == type_)
    };
    let holds = |type_: &str| condition(type_).is_some_and(|condition| condition["status"] == "True");
    let word = shown(condition("Ready").map(|ready| &ready["reason"]));
    let colour = if holds("Failed") {
        Colour::Red
    } else if holds("Stalled") {
        Colour::Yellow
    } else if holds("Ready") {
        Colour::Green
    } else if holds("Suspended") {
        Colour::Blue
    } else {
        Colour::Cyan
    };
    Cell::painted(word, colour)
}
