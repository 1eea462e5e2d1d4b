//! What a dry run found, as text for people.

use crate::cluster::preview::report::{Action, Made, Memory, Preview, Reference, Room, Verdict};
use crate::output::cluster::columns::{Cell, table};
use crate::output::cluster::facts::{Facts, section};
use crate::output::quantity::{bytes, grouped};
use crate::output::terminal::{Colour, Terminal};

/// The whole of it.
pub fn text(preview: &Preview, terminal: Terminal) -> String {
    let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    [
        headline(preview, terminal),
        section("The operator would make", &objects(&preview.objects, preview.model_version.as_deref(), terminal), terminal),
        section("The spec names", &references(&preview.references, terminal), terminal),
        section("Memory", &preview.memory.as_ref().map(memory).unwrap_or_default(), terminal),
        section("Room", &preview.room.as_ref().map(room).unwrap_or_default(), terminal),
        section("Warnings", &lines(&warnings(preview)), terminal),
        section("Not checked", &lines(&preview.not_checked), terminal),
    ]
    .concat()
}

fn headline(preview: &Preview, terminal: Terminal) -> String {
    let name = format!("FineTuneJob {}/{}", preview.namespace, preview.job);
    let Some(refusal) = &preview.refusal else {
        let action = match preview.action {
            Action::Create => "would be created",
            Action::Change => "is there and would be changed",
            Action::Nothing => "is there and would stay as it is",
        };
        return format!("{}\n", terminal.bold(&format!("{name} {action}")));
    };
    let mut text = format!("{}\n", terminal.bold(&format!("{name} is refused by the API server")));
    if refusal.causes.is_empty() {
        text.push_str(&format!("{}\n", refusal.message));
    } else {
        let rows: Vec<Vec<Cell>> = refusal
            .causes
            .iter()
            .map(|cause| vec![cause.field.clone().into(), cause.line.to_string().into(), Cell::painted(cause.message.clone(), Colour::Red)])
            .collect();
        text.push_str(&table(&["FIELD", "LINE", "THE API SERVER SAYS"], &rows, terminal));
    }
    text
}

fn objects(objects: &[Made], model_version: Option<&str>, terminal: Terminal) -> String {
    let mut rows: Vec<Vec<Cell>> = objects
        .iter()
        .map(|object| {
            let name = if object.count > 1 { format!("{} (x{})", object.name, object.count) } else { object.name.clone() };
            let verdict = match object.verdict {
                Verdict::Accepted => Cell::painted("accepted", Colour::Green),
                Verdict::Refused => Cell::painted("REFUSED", Colour::Red),
                Verdict::NotChecked => Cell::painted("not checked", Colour::Dim),
            };
            vec![object.stage.clone().into(), object.kind.clone().into(), name.into(), verdict, object.message.clone().into()]
        })
        .collect();
    if let Some(version) = model_version.filter(|_| !objects.is_empty()) {
        let (name, stage) = version.split_once(", ").unwrap_or((version, ""));
        rows.push(vec!["register".into(), "ModelVersion".into(), name.into(), Cell::painted("at the end", Colour::Dim), stage.into()]);
    }
    if rows.is_empty() { String::new() } else { table(&["STAGE", "KIND", "NAME", "API SERVER", ""], &rows, terminal) }
}

fn references(references: &[Reference], terminal: Terminal) -> String {
    if references.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<Cell>> = references
        .iter()
        .map(|reference| {
            let found = match reference.found {
                Some(true) => Cell::painted("yes", Colour::Green),
                Some(false) => Cell::painted("NO", Colour::Red),
                None => Cell::painted("?", Colour::Dim),
            };
            vec![
                reference.kind.clone().into(),
                reference.name.clone().into(),
                found,
                reference.detail.clone().into(),
                reference.fields.join(", ").into(),
            ]
        })
        .collect();
    table(&["KIND", "NAME", "THERE", "", "FIELD"], &rows, terminal)
}

fn memory(memory: &Memory) -> String {
    let mut facts = Facts::default();
    facts.add("Model", format!("{}, {} parameters, {} trained", memory.family, grouped(memory.parameters), grouped(memory.trainable)));
    facts.add("Estimate", format!("{} a process, {} a pod", bytes(memory.bytes_per_process), bytes(memory.bytes_per_pod)));
    facts.text()
}

fn room(room: &Room) -> String {
    let counted = if room.counts_running { "" } else { "; what runs there is not counted: you may not list pods" };
    let reasons: String = room.reasons.iter().map(|(reason, count)| format!("{count} of {}: {reason}\n", room.machines)).collect();
    format!("{} of {} training pods find room on {} machines now{counted}\n{reasons}", room.placed, room.pods, room.machines)
}

fn warnings(preview: &Preview) -> Vec<String> {
    let missing = preview.references.iter().filter(|reference| reference.found == Some(false));
    let missing = missing.map(|reference| {
        format!(
            "{} {} is not there: the job waits until it is (Stalled, with the reason), before it holds a GPU",
            reference.kind, reference.name
        )
    });
    let room = preview.room.as_ref().filter(|room| room.placed < room.pods);
    let room = room.map(|room| {
        format!("{} of {} training pods find no room now: they wait for it, or for an autoscaler", room.pods - room.placed, room.pods)
    });
    let excess = preview.memory.as_ref().and_then(|memory| memory.excess.clone());
    excess.into_iter().chain(missing).chain(preview.warnings.iter().cloned()).chain(room).collect()
}
