//! The operator's metrics: what is counted, and the page that Prometheus reads.

pub mod table;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use table::Row;

/// Seconds; most of a reconcile is waiting for a few requests.
const RECONCILE_BUCKETS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// Seconds.
const API_BUCKETS: [f64; 8] = [0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

/// What a job is doing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobState {
    /// `Active`, `Complete` or `Failed`.
    pub phase: &'static str,
    /// The reason of its condition Ready.
    pub reason: String,
}

type Hook = Box<dyn Fn(&Metrics) + Send + Sync>;

/// All metrics of this process. Cheap to count with from anywhere.
pub struct Metrics {
    registry: Registry,
    hooks: Mutex<Vec<Hook>>,
    reconciles: IntCounterVec,
    reconcile_duration: HistogramVec,
    reconciles_running: IntGauge,
    queue_depth: IntGaugeVec,
    finetunejobs: IntGaugeVec,
    api_requests: IntCounterVec,
    api_request_duration: HistogramVec,
    scrapes: IntCounterVec,
    leader: IntGauge,
    ready: IntGaugeVec,
    missing_crds: IntGaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that count from zero.
    pub fn new() -> Self {
        let registry = Registry::new();
        let build_info = gauges(&registry, table::BUILD_INFO);
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(ProcessCollector::for_self())).expect("nothing else has its names");
        Self {
            hooks: Mutex::default(),
            reconciles: counters(&registry, table::RECONCILES),
            reconcile_duration: histograms(&registry, table::RECONCILE_DURATION, &RECONCILE_BUCKETS),
            reconciles_running: gauge(&registry, table::RECONCILES_RUNNING),
            queue_depth: gauges(&registry, table::QUEUE_DEPTH),
            finetunejobs: gauges(&registry, table::FINETUNEJOBS),
            api_requests: counters(&registry, table::API_REQUESTS),
            api_request_duration: histograms(&registry, table::API_REQUEST_DURATION, &API_BUCKETS),
            scrapes: counters(&registry, table::SCRAPES),
            leader: gauge(&registry, table::LEADER),
            ready: gauges(&registry, table::READY),
            missing_crds: gauges(&registry, table::MISSING_CRDS),
            registry,
        }
    }

    /// A reconcile of a `kind` ended. The outcome is `success` or the kind of error: a few words, never an object's name.
    pub fn reconciled(&self, kind: &'static str, outcome: &'static str, duration: Duration) {
        self.reconciles.with_label_values(&[kind, outcome]).inc();
        self.reconcile_duration.with_label_values(&[kind]).observe(duration.as_secs_f64());
    }

    /// So many reconciles run.
    pub fn reconciles_running(&self, count: usize) {
        self.reconciles_running.set(whole(count));
    }

    /// So many resources of a `kind` wait for a reconcile.
    pub fn queue_depth(&self, kind: &'static str, count: usize) {
        self.queue_depth.with_label_values(&[kind]).set(whole(count));
    }

    /// So many jobs are in each state; a state that is not named has none.
    pub fn finetunejobs(&self, by_state: &BTreeMap<JobState, usize>) {
        self.finetunejobs.reset();
        for (JobState { phase, reason }, count) in by_state {
            self.finetunejobs.with_label_values(&[*phase, reason.as_str()]).set(whole(*count));
        }
    }

    /// A request to the API server ended after `duration`; `None` if it was never sent.
    pub fn requested(&self, verb: &str, resource: &str, outcome: &str, duration: Option<Duration>) {
        self.api_requests.with_label_values(&[verb, resource, outcome]).inc();
        if let Some(duration) = duration {
            self.api_request_duration.with_label_values(&[verb]).observe(duration.as_secs_f64());
        }
    }

    /// A trainer's metrics were read, or could not be.
    pub fn scraped(&self, succeeded: bool) {
        self.scrapes.with_label_values(&[if succeeded { "success" } else { "failure" }]).inc();
    }

    /// Whether this process leads.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Whether a condition of readiness is met.
    pub fn ready(&self, condition: &'static str, met: bool) {
        self.ready.with_label_values(&[condition]).set(i64::from(met));
    }

    /// These CRDs are missing.
    pub fn missing_crds(&self, names: &[String]) {
        self.missing_crds.reset();
        for name in names {
            self.missing_crds.with_label_values(&[name.as_str()]).set(1);
        }
    }

    /// Has `hook` called before each scrape, for gauges that are cheaper to compute then than to keep up to date.
    pub fn before_scrape(&self, hook: impl Fn(&Self) + Send + Sync + 'static) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// The page, in Prometheus' text format.
    pub fn text(&self) -> String {
        for hook in self.hooks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            hook(self);
        }
        let mut page = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut page) {
            tracing::error!(%error, "failed to write the metrics' page");
        }
        page
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Metrics")
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Registers a metric of the table. It cannot fail: names are unique and well formed, as a test shows by making all of them.
fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> C {
    registry.register(Box::new(metric.clone())).expect("a metric of the table is registered once");
    metric
}

fn counters(registry: &Registry, row: Row) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(row.name, row.help), row.labels).expect("the table is well formed"))
}

fn gauges(registry: &Registry, row: Row) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(Opts::new(row.name, row.help), row.labels).expect("the table is well formed"))
}

fn gauge(registry: &Registry, row: Row) -> IntGauge {
    registered(registry, IntGauge::new(row.name, row.help).expect("the table is well formed"))
}

fn histograms(registry: &Registry, row: Row, buckets: &[f64]) -> HistogramVec {
    let options = HistogramOpts::new(row.name, row.help).buckets(buckets.to_vec());
    registered(registry, HistogramVec::new(options, row.labels).expect("the table is well formed"))
}

#[cfg(test)]
mod tests;
