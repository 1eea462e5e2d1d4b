//! Every metric that the operator serves: its name, kind, labels and meaning, in one place.

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// Its name in Prometheus' text format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Its labels. The values of each come from a small set.
    pub labels: &'static [&'static str],
    /// A sentence for a person.
    pub help: &'static str,
}

const fn row(name: &'static str, kind: Kind, labels: &'static [&'static str], help: &'static str) -> Row {
    Row { name, kind, labels, help }
}

/// Reconciles that ended.
pub const RECONCILES: Row = row(
    "temper_operator_reconciles_total",
    Kind::Counter,
    &["kind", "outcome"],
    "Reconciles that ended, by kind of resource and outcome: success, or the kind of error.",
);
/// How long they took.
pub const RECONCILE_DURATION: Row =
    row("temper_operator_reconcile_duration_seconds", Kind::Histogram, &["kind"], "Duration of a reconcile, by kind of resource.");
/// Reconciles that run.
pub const RECONCILES_RUNNING: Row = row("temper_operator_reconciles_running", Kind::Gauge, &[], "Reconciles that run at the moment.");
/// Resources that wait for a reconcile.
pub const QUEUE_DEPTH: Row =
    row("temper_operator_queue_depth", Kind::Gauge, &["kind"], "Resources that wait for a reconcile, by kind of resource.");
/// Jobs by state.
pub const FINETUNEJOBS: Row = row(
    "temper_finetunejobs",
    Kind::Gauge,
    &["phase", "reason"],
    "FineTuneJobs that the leader knows, by phase (Active, Complete or Failed) and by the reason of their condition Ready.",
);
/// Requests to the API server.
pub const API_REQUESTS: Row = row(
    "temper_operator_api_requests_total",
    Kind::Counter,
    &["verb", "resource", "outcome"],
    "Requests to the API server, by verb, resource and outcome: the status code, or timeout, failed or fenced.",
);
/// How long they took.
pub const API_REQUEST_DURATION: Row = row(
    "temper_operator_api_request_duration_seconds",
    Kind::Histogram,
    &["verb"],
    "Time until the API server answered a request, by verb; a watch until it began.",
);
/// Scrapes of trainers.
pub const SCRAPES: Row =
    row("temper_operator_scrapes_total", Kind::Counter, &["outcome"], "Scrapes of trainers' metrics, by outcome: success or failure.");
/// Whether this process leads.
pub const LEADER: Row = row("temper_operator_leader", Kind::Gauge, &[], "1 while this replica leads and may write, 0 while it stands by.");
/// Conditions of readiness.
pub const READY: Row = row(
    "temper_operator_ready",
    Kind::Gauge,
    &["condition"],
    "Whether a condition of readiness is met: crds, caches, lease. A standby has only the first.",
);
/// CRDs that are missing.
pub const MISSING_CRDS: Row =
    row("temper_operator_missing_crds", Kind::Gauge, &["crd"], "1 for each CRD that the operator waits for because it is not installed.");
/// The build.
pub const BUILD_INFO: Row = row("temper_operator_build_info", Kind::Gauge, &["version"], "1; the label says which version runs.");

/// Ours.
pub const OURS: [Row; 12] = [
    RECONCILES,
    RECONCILE_DURATION,
    RECONCILES_RUNNING,
    QUEUE_DEPTH,
    FINETUNEJOBS,
    API_REQUESTS,
    API_REQUEST_DURATION,
    SCRAPES,
    LEADER,
    READY,
    MISSING_CRDS,
    BUILD_INFO,
];

/// Those that every process has, with Prometheus' usual names.
pub const PROCESS: [Row; 7] = [
    row("process_cpu_seconds_total", Kind::Counter, &[], "Total user and system CPU time spent in seconds."),
    row("process_max_fds", Kind::Gauge, &[], "Maximum number of open file descriptors."),
    row("process_open_fds", Kind::Gauge, &[], "Number of open file descriptors."),
    row("process_resident_memory_bytes", Kind::Gauge, &[], "Resident memory size in bytes."),
    row("process_start_time_seconds", Kind::Gauge, &[], "Start time of the process since unix epoch in seconds."),
    row("process_threads", Kind::Gauge, &[], "Number of OS threads in the process."),
    row("process_virtual_memory_bytes", Kind::Gauge, &[], "Virtual memory size in bytes."),
];

/// The table as a page of Markdown.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Metrics of the operator\n\n\
         Served on `/metrics` of `--http-address`. This page is written by `make generate`.\n\n\
         | Name | Kind | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for Row { name, kind, labels, help } in OURS.into_iter().chain(PROCESS) {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        page.push_str(&format!("| `{name}` | {} | {labels} | {help} |\n", kind.name()));
    }
    page
}
