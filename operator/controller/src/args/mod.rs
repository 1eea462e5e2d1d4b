//! The command line and the environment, checked.

mod value;

use crate::exit;
use crate::leader::{Timing, identity};
use crate::telemetry::LogFormat;
use clap::{ArgAction, Args, CommandFactory, Parser, ValueEnum, ValueHint};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use temper_crds::Quantity;
use temper_crds::finetunejob::trainer::ImagePullPolicy;

const ABOUT: &str = "The operator of Temper: carries out FineTuneJobs in a Kubernetes cluster.";

const EXAMPLES: &str = "\
Examples:
  # in a pod, for all namespaces; the pod's service account says who it is
  temper-operator --trainer-image ghcr.io/temper-dev/temper-trainer:0.1.0
  # from a workstation, for one namespace, alone
  temper-operator --kubeconfig ~/.kube/config --namespace ml --trainer-image temper-trainer:dev \\
    --leader-election false --http-address 127.0.0.1:8080 --log-format text

RUST_LOG filters the log, such as `temper_operator=debug,info`.";

/// The `temper-operator` command.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(name = "temper-operator", version, about = ABOUT, after_help = format!("{EXAMPLES}\n\n{}", exit::HELP), max_term_width = 100)]
#[command(args_override_self = true)]
pub struct OperatorArgs {
    /// Which cluster, and what of it.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// What jobs run.
    #[command(flatten)]
    pub jobs: JobArgs,
    /// Who of several replicas acts.
    #[command(flatten)]
    pub election: ElectionArgs,
    /// What it tells of itself.
    #[command(flatten)]
    pub observability: ObservabilityArgs,
}

/// Which cluster, and what of it.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// File that says where the API server is; without it, the pod's service account does.
    #[arg(long, env = "TEMPER_KUBECONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,
    /// Carry out the FineTuneJobs of this namespace only; without it, those of all.
    #[arg(long, env = "TEMPER_NAMESPACE", value_name = "NAME", value_parser = value::label)]
    pub namespace: Option<String>,
    /// Namespace that the operator's pods are in, from which it scrapes trainers [default: the one of the Lease].
    #[arg(long, env = "TEMPER_OPERATOR_NAMESPACE", value_name = "NAME", value_parser = value::label)]
    pub operator_namespace: Option<String>,
    /// Reconciles at the same time.
    #[arg(long, env = "TEMPER_CONCURRENCY", value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,
}

/// What jobs run.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Jobs")]
pub struct JobArgs {
    /// Image of `temper-trainer`, for jobs that name none.
    #[arg(long, env = "TEMPER_TRAINER_IMAGE", value_name = "IMAGE", value_parser = value::image)]
    pub trainer_image: String,
    /// When that image is pulled.
    #[arg(long, env = "TEMPER_TRAINER_IMAGE_PULL_POLICY", value_name = "POLICY", default_value = "IfNotPresent")]
    pub trainer_image_pull_policy: PullPolicy,
    /// Size of the volume that a job gets when it names none for its checkpoints.
    #[arg(long, env = "TEMPER_RUN_VOLUME_SIZE", value_name = "QUANTITY", default_value = "50Gi", value_parser = value::size)]
    pub run_volume_size: Quantity,
    /// StorageClass of that volume; without it, the cluster's default.
    #[arg(long, env = "TEMPER_RUN_VOLUME_STORAGE_CLASS", value_name = "NAME", value_parser = value::subdomain)]
    pub run_volume_storage_class: Option<String>,
    /// Namespace whose pods may read the trainers' metrics, besides the operator: that of Prometheus. May be given more than once, or as a
    /// list with commas.
    #[arg(long = "metrics-namespace", env = "TEMPER_METRICS_NAMESPACE", value_name = "NAME", value_delimiter = ',', value_parser = value::label)]
    pub metrics_namespaces: Vec<String>,
    /// Variable of every pod of every job, about the cluster they run in, such as HTTPS_PROXY=http://proxy:3128 or
    /// HF_ENDPOINT=https://hub.example.com; a job's own go before it. No secrets. May be given more than once.
    #[arg(long = "pod-env", env = "TEMPER_POD_ENV", value_name = "NAME=VALUE", value_parser = value::variable)]
    pub pod_environment: Vec<(String, String)>,
    /// Whether jobs' pods name no user and no groups, so that the platform assigns them, as OpenShift does; otherwise those of the image.
    #[arg(long, env = "TEMPER_PODS_WITHOUT_USER", value_name = "BOOL", default_value = "false", action = ArgAction::Set)]
    pub pods_without_user: bool,
    /// How often a running job's metrics are read.
    #[arg(long, env = "TEMPER_SCRAPE_INTERVAL", value_name = "DURATION", default_value = "15s", value_parser = value::duration)]
    pub scrape_interval: Duration,
}

/// Who of several replicas acts.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Leader election")]
pub struct ElectionArgs {
    /// Whether replicas elect a leader. Without it, only one may run.
    #[arg(long, env = "TEMPER_LEADER_ELECTION", value_name = "BOOL", default_value = "true", action = ArgAction::Set)]
    pub leader_election: bool,
    /// Namespace of the Lease [default: POD_NAMESPACE, or the namespace of the kubeconfig or service account].
    #[arg(long, env = "TEMPER_LEASE_NAMESPACE", value_name = "NAME", value_parser = value::label)]
    pub lease_namespace: Option<String>,
    /// Name of the Lease.
    #[arg(long, env = "TEMPER_LEASE_NAME", value_name = "NAME", default_value = "temper-operator", value_parser = value::subdomain)]
    pub lease_name: String,
    /// What this replica calls itself in the Lease. No two that run may have the same [default: POD_NAME, or a random name].
    #[arg(long, env = "TEMPER_IDENTITY", value_name = "NAME", value_parser = value::identity)]
    pub identity: Option<String>,
    /// How long the others wait after the leader's last renewal before one takes its place. Whole seconds.
    #[arg(long, env = "TEMPER_LEASE_DURATION", value_name = "DURATION", default_value = "15s", value_parser = value::duration)]
    pub lease_duration: Duration,
    /// How long the leader writes after its last renewal. Less than the lease.
    #[arg(long, env = "TEMPER_LEASE_RENEW_DEADLINE", value_name = "DURATION", default_value = "10s", value_parser = value::duration)]
    pub lease_renew_deadline: Duration,
    /// How often the leader renews. At most half of the deadline.
    #[arg(long, env = "TEMPER_LEASE_RETRY_PERIOD", value_name = "DURATION", default_value = "2s", value_parser = value::duration)]
    pub lease_retry_period: Duration,
}

/// What it tells of itself.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Observability")]
pub struct ObservabilityArgs {
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "TEMPER_HTTP_ADDRESS", value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,
    /// How log lines look.
    #[arg(long, env = "TEMPER_LOG_FORMAT", value_name = "FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// OpenTelemetry collector that gets traces by OTLP over HTTP, such as http://otel-collector.monitoring:4318; without it, none are sent.
    #[arg(long, env = "TEMPER_OTLP_ENDPOINT", value_name = "URL", value_parser = value::endpoint)]
    pub otlp_endpoint: Option<String>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// Each time a pod starts.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never: it must be there.
    Never,
}

impl From<PullPolicy> for ImagePullPolicy {
    fn from(policy: PullPolicy) -> Self {
        match policy {
            PullPolicy::Always => Self::Always,
            PullPolicy::IfNotPresent => Self::IfNotPresent,
            PullPolicy::Never => Self::Never,
        }
    }
}

/// What the pod's environment says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodEnvironment {
    /// `POD_NAME`.
    pub name: Option<String>,
    /// `POD_NAMESPACE`.
    pub namespace: Option<String>,
}

impl PodEnvironment {
    /// Reads the environment.
    pub fn read() -> Self {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self { name: read("POD_NAME"), namespace: read("POD_NAMESPACE") }
    }
}

impl OperatorArgs {
    /// Checks what no single flag can tell.
    ///
    /// # Errors
    /// A message for the user, as `clap` makes them.
    pub fn checked(mut self, pod: &PodEnvironment) -> Result<Self, clap::Error> {
        let refuse = |message: String| Self::command().error(clap::error::ErrorKind::ValueValidation, message);
        let ElectionArgs { lease_duration, lease_renew_deadline, lease_retry_period, .. } = self.election;
        if lease_duration.subsec_nanos() != 0 {
            return Err(refuse(format!("--lease-duration {lease_duration:?}: a Lease counts whole seconds; name some, such as 15s")));
        }
        if lease_renew_deadline >= lease_duration {
            return Err(refuse(format!(
                "--lease-renew-deadline {lease_renew_deadline:?} must be less than --lease-duration {lease_duration:?}: a leader must have \
                 stopped before another may begin"
            )));
        }
        if lease_retry_period * 2 > lease_renew_deadline {
            return Err(refuse(format!(
                "--lease-retry-period {lease_retry_period:?} must be at most half of --lease-renew-deadline {lease_renew_deadline:?}: one \
                 renewal that fails must not cost the leadership"
            )));
        }
        if self.jobs.scrape_interval < Duration::from_secs(1) {
            return Err(refuse(format!("--scrape-interval {:?}: must be at least 1s", self.jobs.scrape_interval)));
        }
        // Said here, because clap would show the value.
        if let Some((name, _)) = self.jobs.pod_environment.iter().find(|(name, _)| value::names_a_secret(name)) {
            return Err(refuse(format!(
                "--pod-env {name}: its value looks like a secret, which everybody who may read pods would see; put it into a Secret and name \
                 that in the jobs' secretRef"
            )));
        }
        self.election.identity = self.election.identity.or_else(|| pod.name.clone());
        self.election.lease_namespace = self.election.lease_namespace.or_else(|| pod.namespace.clone());
        Ok(self)
    }

    /// What this replica calls itself.
    pub fn identity(&self) -> String {
        self.election.identity.clone().unwrap_or_else(identity::of_this_process)
    }
}

impl ElectionArgs {
    /// The durations of an election.
    pub const fn timing(&self) -> Timing {
        Timing { lease_duration: self.lease_duration, renew_deadline: self.lease_renew_deadline, retry_period: self.lease_retry_period }
    }

    /// How long a write may take: what a leader sent at the very end of its time must be over when another begins.
    pub const fn longest_write(&self) -> Duration {
        if self.leader_election { self.lease_duration.saturating_sub(self.lease_renew_deadline) } else { Duration::from_secs(15) }
    }
}

#[cfg(test)]
mod tests;
