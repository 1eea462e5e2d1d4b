//! ModelVersions as rows: the columns of `kubectl get modelversions`.

use crate::output::cluster::columns::Cell;
use crate::output::cluster::job_rows::{Look, age_of, shown};
use crate::output::terminal::Colour;
use jiff::Timestamp;
use serde_json::Value;

/// The columns' names.
pub fn head(look: Look) -> Vec<&'static str> {
    let mut head = vec!["NAME", "MODEL", "VERSION", "STAGE", "FORMAT", "PERPLEXITY"];
    if look.namespace {
        head.insert(0, "NAMESPACE");
    }
    if look.wide {
        head.extend(["FROM", "URI"]);
    }
    head.push("AGE");
    head
}

/// One version.
pub fn row(version: &Value, look: Look, now: Timestamp) -> Vec<Cell> {
    let text = |pointer: &str| Cell::from(shown(version.pointer(pointer)));
    let stage = shown(version.pointer("/spec/stage"));
    let colour = match stage.as_str() {
        "Production" => Some(Colour::Green),
        "Staging" => Some(Colour::Cyan),
        "Archived" => Some(Colour::Dim),
        _ => None,
    };
    let mut row = vec![
        text("/metadata/name"),
        text("/spec/modelName"),
        text("/spec/version"),
        Cell { text: stage, colour },
        text("/spec/format"),
        text("/spec/metrics/validationPerplexity"),
    ];
    if look.namespace {
        row.insert(0, text("/metadata/namespace"));
    }
    if look.wide {
        row.extend([text("/spec/sourceRef/name"), text("/spec/uri")]);
    }
    row.push(Cell::from(age_of(version, now)));
    row
}
