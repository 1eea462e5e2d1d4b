//! Logs: lines for people or JSON for machines, on standard error. Traces: spans for a collector, where there is one.

pub mod traces;

use crate::args::ObservabilityArgs;
use clap::ValueEnum;
use traces::Traces;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

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

/// Starts logging, and sending traces where there is somebody to send them to; `identity` is what this replica calls itself in them.
///
/// # Errors
/// When `RUST_LOG` is no filter, or traces cannot be sent.
pub fn start(args: &ObservabilityArgs, filter: Option<&str>, identity: Option<&str>) -> anyhow::Result<Traces> {
    let traces = Traces::to(args.otlp_endpoint.as_deref(), identity)?;
    tracing_subscriber::registry().with(lines(args.log_format, filter, std::io::stderr)?).with(traces.layer()).init();
    Ok(traces)
}

fn lines<W>(format: LogFormat, filter: Option<&str>, writer: W) -> anyhow::Result<Box<dyn Layer<Registry> + Send + Sync>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = filter.unwrap_or(DEFAULT_FILTER);
    let parsed = EnvFilter::try_new(filter)
        .map_err(|error| anyhow::anyhow!("RUST_LOG={filter}: {error}; a filter looks like `info` or `temper_operator=debug,info`"))?;
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    Ok(match format {
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(true).with_span_list(false).with_filter(parsed).boxed(),
        LogFormat::Text => layer.with_filter(parsed).boxed(),
    })
}

#[cfg(test)]
mod tests {
    use super::{LogFormat, lines};
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

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
        let subscriber = tracing_subscriber::registry().with(lines(format, None, move || writer.clone()).expect("a filter"));
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
        let error = lines(LogFormat::Text, Some("a=b=c"), std::io::sink).err().expect("no filter").to_string();
        assert!(error.starts_with("RUST_LOG=a=b=c: "), "{error}");
    }
}
