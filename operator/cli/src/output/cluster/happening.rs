//! Events about an object, as a table.

use crate::output::cluster::columns::{Cell, table};
use crate::output::cluster::when::When;
use crate::output::terminal::{Colour, Terminal};
use jiff::Timestamp;

/// One event, or several equal ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When it happened last.
    pub at: Timestamp,
    /// How often it happened.
    pub count: i64,
    /// Whether somebody should look.
    pub warning: bool,
    /// In one word.
    pub reason: String,
    /// What it is about, if not the object itself: `Pod/listings-a0-0-x`.
    pub about: Option<String>,
    /// In a sentence.
    pub note: String,
}

/// Of more, the latest are shown.
const SHOWN: usize = 20;

/// The events, oldest first.
pub fn text(happenings: &[Happening], when: &When, terminal: Terminal) -> String {
    if happenings.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<&Happening> = happenings.iter().collect();
    sorted.sort_by_key(|happening| happening.at);
    let earlier = sorted.len().saturating_sub(SHOWN);
    let rows: Vec<Vec<Cell>> = sorted.into_iter().skip(earlier).map(|happening| row(happening, when)).collect();
    let before = if earlier > 0 { format!("({earlier} earlier ones are not shown)\n") } else { String::new() };
    before + &table(&["LAST", "AGE", "REASON", "ABOUT", "MESSAGE"], &rows, terminal)
}

fn row(happening: &Happening, when: &When) -> Vec<Cell> {
    let times = if happening.count > 1 { format!("{} (x{})", when.ago(happening.at), happening.count) } else { when.ago(happening.at) };
    let note = happening.note.lines().collect::<Vec<_>>().join("; ");
    let colour = happening.warning.then_some(Colour::Yellow);
    let about = happening.about.clone().unwrap_or_default();
    [when.shown(happening.at), times, happening.reason.clone(), about, note].into_iter().map(|text| Cell { text, colour }).collect()
}
