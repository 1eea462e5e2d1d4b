//! One line of a pod's log as a person reads it, or as a program does.
//!
//! A pod's log holds two things: what its processes log (JSON with who says it) and events for whoever runs them (JSON with `event`).
//! Anything else is text, of a library for instance, and passes through.

use crate::output::cluster::when::When;
use crate::output::pace::Pace;
use crate::output::phrase;
use crate::output::terminal::{Colour, Terminal};
use jiff::Timestamp;
use serde_json::{Map, Value};
use temper_contract::Event;

/// Fields that a line's beginning tells already, or that are the same on every line.
const TOLD: [&str; 8] = ["timestamp", "level", "message", "stage", "node", "rank", "attempt", "generation"];
/// Colours that tell speakers apart.
const SPEAKERS: [Colour; 5] = [Colour::Cyan, Colour::Green, Colour::Yellow, Colour::Magenta, Colour::Blue];

/// The pod that a line is from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speaker {
    /// Its name.
    pub pod: String,
    /// Its stage, as labels have it.
    pub stage: String,
    /// Its node's number among those of its attempt.
    pub node: u64,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Log(Map<String, Value>),
    Event(Event),
    Text,
}

/// Reads the lines of one pod.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    speaker: Speaker,
    pace: Pace,
    total_steps: u64,
    preparing: String,
}

impl Reader {
    /// For a pod's lines, in their order.
    pub fn new(speaker: Speaker) -> Self {
        Self { speaker, ..Self::default() }
    }

    /// The line for people, without a line end; `None` for one that tells nothing, or nothing of the rank that is asked for. `at` is when the
    /// pod wrote it.
    pub fn text(&mut self, line: &str, at: Timestamp, rank: Option<u64>, when: &When, terminal: Terminal) -> Option<String> {
        let said = said(line);
        let speaks = speaking_rank(&said);
        // What has no rank may be about it: a library's last words, for instance.
        if rank.is_some() && rank != speaks && said != Said::Text {
            return None;
        }
        let (level, sentence) = match &said {
            Said::Log(object) => (object.get("level").and_then(Value::as_str).unwrap_or_default(), logged(object)),
            Said::Event(event) => ("", self.event(event)?),
            Said::Text => ("", line.to_owned()),
        };
        let level = match level {
            "ERROR" => format!("{} ", terminal.painted(Colour::Red, "ERROR")),
            "WARN" => format!("{} ", terminal.painted(Colour::Yellow, "WARN")),
            "DEBUG" | "TRACE" => format!("{} ", terminal.painted(Colour::Dim, level)),
            _ => String::new(),
        };
        let time = terminal.painted(Colour::Dim, &when.shown(at));
        let prefix = self.prefix(&said, speaks, terminal);
        // A message of several lines stays recognisable as one speaker's.
        let lines: Vec<String> = sentence.lines().map(|part| format!("{time} {prefix} {level}{part}")).collect();
        Some(if lines.is_empty() { format!("{time} {prefix}") } else { lines.join("\n") })
    }

    /// The line for programs: an object, with the pod's name.
    pub fn json(&self, line: &str, rank: Option<u64>) -> Option<String> {
        let said = said(line);
        if rank.is_some() && rank != speaking_rank(&said) && said != Said::Text {
            return None;
        }
        let mut object = match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(object)) => object,
            _ => Map::from_iter([("message".to_owned(), Value::from(line))]),
        };
        object.insert("pod".to_owned(), Value::from(self.speaker.pod.clone()));
        Some(Value::Object(object).to_string())
    }

    /// `[NODE/RANK]`, `[NODE]` for a supervisor, `[STAGE]` where there are no ranks.
    fn prefix(&self, said: &Said, rank: Option<u64>, terminal: Terminal) -> String {
        let node = match said {
            Said::Log(object) => object.get("node").and_then(Value::as_u64).unwrap_or(self.speaker.node),
            Said::Event(_) | Said::Text => self.speaker.node,
        };
        let (name, colour) = match (self.speaker.stage.as_str(), rank) {
            ("train" | "", Some(rank)) => (format!("[{node}/{rank}]"), rank),
            ("train" | "", None) => (format!("[{node}]"), node),
            (stage, _) => (format!("[{stage}]"), 0),
        };
        let colour = SPEAKERS[usize::try_from(colour).unwrap_or(0) % SPEAKERS.len()];
        terminal.painted(colour, &name)
    }

    fn event(&mut self, event: &Event) -> Option<String> {
        match event {
            // These are logged as well.
            Event::Warning { .. } | Event::Restarting { .. } | Event::Evaluated { .. } | Event::Heartbeat { .. } => None,
            Event::Preparing { stage, .. } => (self.preparing != *stage).then(|| {
                self.preparing.clone_from(stage);
                stage.clone()
            }),
            Event::Started { resumed_from_step, total_steps, .. } => {
                self.pace = Pace::start(*resumed_from_step, *total_steps);
                self.total_steps = *total_steps;
                phrase::sentence(event)
            }
            Event::Step(step) => {
                self.pace.record(step);
                let of = if self.total_steps > 0 { format!("/{}", self.total_steps) } else { String::new() };
                Some(format!("step {}{of}  {}", step.step, phrase::step_figures(step, &self.pace)))
            }
            Event::CheckpointSaved { step, .. } => Some(format!("checkpoint at step {step}")),
            Event::Finished { step, reason } => {
                Some(phrase::sentence(event).unwrap_or_else(|| format!("finished at step {step} ({reason})")))
            }
            Event::Prepared { .. } => phrase::sentence(event),
        }
    }
}

fn said(line: &str) -> Said {
    if !line.starts_with('{') {
        return Said::Text;
    }
    if let Some(event) = Event::from_line(line) {
        return Said::Event(event);
    }
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(object)) if object.contains_key("message") || object.contains_key("level") => Said::Log(object),
        _ => Said::Text,
    }
}

/// The rank that speaks, where one does. Events about training are rank 0's.
fn speaking_rank(said: &Said) -> Option<u64> {
    match said {
        Said::Log(object) => object.get("rank").and_then(Value::as_u64),
        Said::Event(Event::Heartbeat { rank, .. }) => u64::try_from(*rank).ok(),
        Said::Event(Event::Step(_) | Event::Started { .. } | Event::CheckpointSaved { .. } | Event::Evaluated { .. }) => Some(0),
        Said::Event(_) | Said::Text => None,
    }
}

/// The message, and the fields that stand beside it.
fn logged(object: &Map<String, Value>) -> String {
    let mut text = object.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    for (name, value) in object.iter().filter(|(name, value)| !TOLD.contains(&name.as_str()) && !value.is_null()) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!("  {name}={value}"));
    }
    text
}
