//! Reads manifests without an API server, and as strictly: a typo or a value that the schema forbids is refused, with its line.
//!
//! The API server drops fields that it does not know; here they are problems, each with the nearest known name. What only the CEL
//! rules say is left to the planner's `validate`, which names the field so that `Manifest::line_of` can find the line.

mod check;
mod nearest;
mod problem;
#[cfg(test)]
mod tests;
mod tree;

use crate::{API_VERSION, FineTuneJob, ModelVersion, crd};
pub use nearest::nearest;
pub use problem::{ParseError, Problem};
use std::collections::BTreeMap;
use tree::{Node, Tree};

/// The longest manifest file that is read, in bytes; the API server takes no larger object either.
pub const MAX_BYTES: usize = 3 * 1024 * 1024;

/// One document of a manifest file.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The line that the document starts at.
    pub line: u64,
    /// What it describes.
    pub resource: Resource,
    lines: BTreeMap<String, u64>,
}

/// A Temper resource of any kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Resource {
    /// A fine-tuning job.
    FineTuneJob(Box<FineTuneJob>),
    /// A model version.
    ModelVersion(Box<ModelVersion>),
}

impl Resource {
    /// The kind, as it stands in a manifest.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::FineTuneJob(_) => "FineTuneJob",
            Self::ModelVersion(_) => "ModelVersion",
        }
    }
}

impl Manifest {
    /// The line of a field such as `spec.dataset.format`, or of the innermost object around it that is written out.
    pub fn line_of(&self, path: &str) -> u64 {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.line,
            }
        }
    }
}

/// Reads every document of a YAML (or JSON) file. All problems are reported together, not only the first.
pub fn parse_manifest(text: &str) -> Result<Vec<Manifest>, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError::from(Problem::new(1, "", format!("{} bytes", text.len()), "the file is larger than 3 MiB", "split it")));
    }
    let documents: Vec<Node> = serde_saphyr::from_multiple(text).map_err(|error| ParseError::from(problem::syntax(&error)))?;
    let documents: Vec<&Node> = documents.iter().filter(|document| !matches!(document.value, Tree::Null)).collect();
    if documents.is_empty() {
        let next_step = format!("start from a sample: apiVersion: {API_VERSION}, kind: FineTuneJob, metadata, spec");
        return Err(ParseError::from(Problem::new(1, "", "", "the file has no document", &next_step)));
    }
    let mut manifests = Vec::new();
    let mut problems = Vec::new();
    for document in documents {
        match one(document) {
            Ok(manifest) => manifests.push(manifest),
            Err(mut found) => problems.append(&mut found),
        }
    }
    if problems.is_empty() { Ok(manifests) } else { Err(ParseError { problems }) }
}

fn one(document: &Node) -> Result<Manifest, Vec<Problem>> {
    let Tree::Map(_) = document.value else {
        let next_step = format!("write apiVersion: {API_VERSION}, kind: FineTuneJob, metadata and spec");
        return Err(vec![Problem::new(document.line, "", document.value.shown(), "a manifest is an object with named fields", &next_step)]);
    };
    if let Some(found) = wrong_text(document, "apiVersion", &[API_VERSION]) {
        return Err(vec![found]);
    }
    if let Some(found) = wrong_text(document, "kind", &["FineTuneJob", "ModelVersion"]) {
        return Err(vec![not_yet(document).unwrap_or(found)]);
    }
    let kind = document.value.get("kind").and_then(|node| node.value.text()).unwrap_or_default();
    let definition = if kind == "ModelVersion" { crd::model_version() } else { crd::fine_tune_job() };
    let problems = check::check(document, crd::schema(&definition));
    if !problems.is_empty() {
        return Err(problems);
    }
    let json = document.value.to_json();
    let resource = match kind {
        "ModelVersion" => serde_json::from_value(json).map(|version| Resource::ModelVersion(Box::new(version))),
        _ => serde_json::from_value(json).map(|job| Resource::FineTuneJob(Box::new(job))),
    };
    // The schema and the types come from one derive, so what passes the first fits the second, but for details such as times.
    let resource = resource.map_err(|error| vec![Problem::new(document.line, "", "", error.to_string(), "mend the value it names")])?;
    let mut lines = BTreeMap::new();
    document.collect_lines("", &mut lines);
    Ok(Manifest { line: document.line, resource, lines })
}

/// A kind that is planned: nobody has mistyped it.
fn not_yet(document: &Node) -> Option<Problem> {
    let node = document.value.get("kind")?;
    let is_planned = matches!(node.value.text()?, "FineTuneSweep" | "ModelDeployment");
    is_planned.then(|| Problem::new(node.line, "kind", node.value.shown(), "is not supported yet", "write FineTuneJob or ModelVersion"))
}

/// The problem with a top-level field that must be one of a few texts.
fn wrong_text(document: &Node, field: &str, allowed: &[&str]) -> Option<Problem> {
    let wanted = allowed.join(" or ");
    match document.value.get(field) {
        None => Some(Problem::new(document.line, field, "", "is missing", &format!("add {field}: {wanted}"))),
        Some(node) if node.value.text().is_some_and(|text| allowed.contains(&text)) => None,
        Some(node) => {
            Some(Problem::new(node.line, field, node.value.shown(), "is not one that this program knows", &format!("write {wanted}")))
        }
    }
}
