//! Conditions in the order in which they came about.

use crate::output::cluster::age;
use crate::output::cluster::columns::{Cell, table};
use crate::output::cluster::when::When;
use crate::output::terminal::{Colour, Terminal};
use jiff::Timestamp;
use temper_crds::Condition;
use temper_crds::condition::{ConditionStatus, FAILED, STALLED};

/// The conditions as a table, oldest first. Those that do not hold are dim.
pub fn text(conditions: &[Condition], created: Option<Timestamp>, when: &When, terminal: Terminal) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<&Condition> = conditions.iter().collect();
    sorted.sort_by_key(|condition| condition.last_transition_time.0);
    let rows: Vec<Vec<Cell>> = sorted.into_iter().map(|condition| row(condition, created, when)).collect();
    table(&["SINCE", "AFTER", "CONDITION", "REASON", "MESSAGE"], &rows, terminal)
}

fn row(condition: &Condition, created: Option<Timestamp>, when: &When) -> Vec<Cell> {
    let at = condition.last_transition_time.0;
    let name = match condition.status {
        ConditionStatus::True => condition.type_.clone(),
        ConditionStatus::False => format!("not {}", condition.type_),
        ConditionStatus::Unknown => format!("{} unknown", condition.type_),
    };
    let colour = match (condition.status, condition.type_.as_str()) {
        (ConditionStatus::True, FAILED) => Some(Colour::Red),
        (ConditionStatus::True, STALLED) => Some(Colour::Yellow),
        (ConditionStatus::True, _) => None,
        _ => Some(Colour::Dim),
    };
    // A message of several lines lists problems; the story tells each under its own head.
    let message = condition.message.lines().collect::<Vec<_>>().join("; ");
    let after = created.map(|created| format!("+{}", age::between(created, at))).unwrap_or_default();
    [when.shown(at), after, name, condition.reason.clone(), message].into_iter().map(|text| Cell { text, colour }).collect()
}
