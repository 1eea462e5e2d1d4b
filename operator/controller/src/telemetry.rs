//! Logs: lines for people or JSON for machines, on standard error.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// What is logged where `RUST_LOG` does not say otherwise. Watches that end and start again are kube's daily life.
const DEFAULT_FILTER: &str = "info,kube_client=error,kube_runtime=error";

/// Starts logging.
///
/// # Errors
/// When `RUST_LOG` is no filter.
pub fn start(format: LogFormat, filter: Option<&str>) -> anyhow::Result<()> {
    subscriber(format, filter, std::io::stderr)?.init();
    Ok(())
}

fn subscriber<W>(format: LogFormat, filter: Option<&str>, writer: W) -> anyhow::Result<Box<dyn tracing::Subscriber + Send + Sync>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter.unwrap_or(DEFAULT_FILTER);
    let parsed = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("RUST_LOG={filter}: {error}; a filter looks like `info` or `temper_operator=debug,info`"))?;
    let registry = tracing_subscriber::registry().with(parsed);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    Ok(match format {
        LogFormat::Json => Box::new(registry.with(layer.json().flatten_event(true).with_current_span(true).with_span_list(false))),
        LogFormat::Text => Box::new(registry.with(layer)),
    })
}

#[cfg(test)]
mod tests {
    use super::{LogFormat, subscriber};
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no test panics here").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn log(format: LogFormat) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = subscriber(format, None, move || writer.clone()).expect("a filter");
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("reconcile", job = "default/listings").entered();
            tracing::info!(lease = "temper-operator", "this replica leads");
            tracing::debug!("not shown");
        });
        let bytes = written.0.lock().expect("no test panics here").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn json_has_one_object_a_line_with_its_fields_and_span() {
        let text = log(LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).expect("one object");
        assert_eq!(line["message"], "this replica leads");
        assert_eq!(line["lease"], "temper-operator");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["span"]["job"], "default/listings");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn text_is_for_people() {
        let text = log(LogFormat::Text);
        assert!(text.contains("this replica leads lease=\"temper-operator\"") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_wrong_filter_is_shown() {
        let error = subscriber(LogFormat::Text, Some("a=b=c"), std::io::sink).err().expect("no filter").to_string();
        assert!(error.starts_with("RUST_LOG=a=b=c: "), "{error}");
    }
}
