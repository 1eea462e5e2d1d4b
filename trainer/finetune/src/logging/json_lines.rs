//! One JSON object a line, each with who says it: so that the logs of a job's ranks can be read as one.

use serde_json::{Map, Value};
use std::fmt::{self, Debug, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use temper_contract::env;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    stage: &'static str,
    node: u64,
    attempt: u64,
    /// `None` for a supervisor, and for stages without ranks.
    rank: Option<u64>,
    pub(super) generation: u64,
}

impl Identity {
    /// Reads the process's environment; what is wrong there is told by others.
    pub(super) fn new(stage: &'static str, variable: impl Fn(&str) -> Option<String>) -> Self {
        let number = |name: &str| variable(name).and_then(|text| u64::from_str(text.trim()).ok());
        Self {
            stage,
            node: number(env::NODE_RANK).unwrap_or(0),
            attempt: number(env::ATTEMPT).unwrap_or(0),
            rank: number(env::RANK).filter(|_| stage == "rank"),
            generation: number(env::GENERATION).unwrap_or(0),
        }
    }
}

/// Formats events. Fields of an event stand beside `message`, and win over the identity's of the same name.
pub(super) struct JsonLines {
    identity: Identity,
    generation: &'static AtomicU64,
}

impl JsonLines {
    pub(super) fn new(identity: Identity, generation: &'static AtomicU64) -> Self {
        Self { identity, generation }
    }

    fn object(&self, event: &Event<'_>) -> Map<String, Value> {
        let Identity { stage, node, attempt, rank, .. } = self.identity;
        let mut timestamp = String::new();
        // Writing into a String cannot fail.
        let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let mut object = Map::new();
        let mut insert = |name: &str, value: Value| object.insert(name.to_owned(), value);
        insert("timestamp", timestamp.into());
        insert("level", event.metadata().level().as_str().into());
        insert("stage", stage.into());
        insert("node", node.into());
        insert("rank", rank.into());
        insert("attempt", attempt.into());
        insert("generation", self.generation.load(Ordering::Relaxed).into());
        event.record(&mut Fields(&mut object));
        object
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writeln!(writer, "{}", Value::Object(self.object(event)))
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing into a String cannot fail; a Debug implementation that does leaves what it wrote.
        let _ = write!(text, "{value:?}");
        self.insert(field, text);
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, JsonLines};
    use serde_json::Value;
    use std::io::Write;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};
    use temper_contract::env;

    static GENERATION: AtomicU64 = AtomicU64::new(0);

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no holder panics").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines(stage: &'static str, speak: impl FnOnce()) -> Vec<Value> {
        let variable = |name: &str| match name {
            env::RANK => Some("3".to_owned()),
            env::NODE_RANK => Some("1".to_owned()),
            env::ATTEMPT => Some("2".to_owned()),
            _ => None,
        };
        let memory = Memory::default();
        let writer = memory.clone();
        let format = JsonLines::new(Identity::new(stage, variable), &GENERATION);
        let subscriber = tracing_subscriber::fmt().event_format(format).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, speak);
        let bytes = memory.0.lock().expect("no holder panics").clone();
        let text = String::from_utf8(bytes).expect("JSON is UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is an object")).collect()
    }

    #[test]
    fn each_line_says_who_speaks_and_carries_its_fields() {
        GENERATION.store(4, Ordering::Relaxed);
        let lines = lines("rank", || {
            tracing::warn!(step = 7u64, loss = f64::NAN, "two\nlines \"quoted\"");
            tracing::info!("plain");
        });
        assert_eq!(lines.len(), 2);
        for line in &lines {
            assert!(line["timestamp"].as_str().is_some_and(|time| time.contains('T')), "{line}");
            assert_eq!(
                ["stage", "node", "rank", "attempt", "generation"].map(|name| line[name].to_string()),
                ["\"rank\"", "1", "3", "2", "4"]
            );
        }
        assert_eq!((lines[0]["level"].as_str(), lines[0]["step"].as_u64()), (Some("WARN"), Some(7)));
        assert_eq!((lines[0]["message"].as_str(), &lines[0]["loss"]), (Some("two\nlines \"quoted\""), &Value::Null));
    }

    #[test]
    fn a_supervisor_is_no_rank() {
        let lines = lines("train", || tracing::info!("waiting"));
        assert_eq!((lines[0]["node"].as_u64(), &lines[0]["rank"]), (Some(1), &Value::Null));
    }
}
