//! Traces: a span for each reconcile and, within it, for each request to the API server, sent by OTLP over HTTP.

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::blocking::Client;
use std::time::Duration;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// Where a collector takes traces, below its endpoint: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>.
const PATH: &str = "v1/traces";
/// How long the collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last spans may take when the process ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where spans go, if anywhere.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// To the collector at an endpoint such as `http://otel-collector.monitoring:4318`, or nowhere.
    ///
    /// # Errors
    /// When no client can be made for it.
    pub fn to(endpoint: Option<&str>, identity: Option<&str>) -> anyhow::Result<Self> {
        let Some(endpoint) = endpoint else { return Ok(Self(None)) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client(endpoint).with_context(|| format!("--otlp-endpoint {endpoint}: no client can be made"))?)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            .with_endpoint(format!("{}/{PATH}", endpoint.trim_end_matches('/')))
            .build()
            .with_context(|| format!("--otlp-endpoint {endpoint}"))?;
        let about = [("service.version", Some(env!("CARGO_PKG_VERSION"))), ("service.instance.id", identity)];
        let about = about.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?.to_owned())));
        let resource = Resource::builder().with_service_name("temper-operator").with_attributes(about).build();
        Ok(Self(Some(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())))
    }

    /// What makes spans of this program's own into traces; nothing, where they go nowhere.
    pub fn layer<S>(&self) -> Option<impl Layer<S> + Send + Sync + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let provider = self.0.as_ref()?;
        // What the exporter itself does is not to be traced: it would never end.
        let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), LevelFilter::DEBUG);
        Some(tracing_opentelemetry::layer().with_tracer(provider.tracer(env!("CARGO_CRATE_NAME"))).with_location(false).with_filter(ours))
    }

    /// Sends what has not been sent, if that is quickly done.
    pub fn end(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown_with_timeout(FAREWELL)) {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}

fn client(endpoint: &str) -> reqwest::Result<Client> {
    let client = Client::builder().timeout(PATIENCE);
    // Plain HTTP needs no authorities, and in an image without any the usual client cannot be made.
    if endpoint.starts_with("http://") { client.tls_certs_only([]).build() } else { client.build() }
}

#[cfg(test)]
mod tests;
