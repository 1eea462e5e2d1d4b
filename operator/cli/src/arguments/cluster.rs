//! The command line of what talks to a cluster.

use crate::arguments::duration;
use crate::cluster::complete;
use clap::{Args, ValueEnum, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const GET_EXAMPLES: &str = "\
Examples:
  temper get                      # FineTuneJobs, then ModelVersions
  temper get ftj -A --watch       # all namespaces; the table changes in place
  temper get ftj listings -o yaml
  temper get mv -o name";

pub(super) const DESCRIBE_EXAMPLES: &str = "\
Examples:
  temper describe listings        # a FineTuneJob: its story, and what to do next
  temper describe mv listings-v3  # a ModelVersion";

pub(super) const LOGS_EXAMPLES: &str = "\
Examples:
  temper logs listings -f                   # all ranks, across restarts, attempts and stages, until the job ends
  temper logs listings --rank 3 --tail 100
  temper logs listings --stage prepare
  temper logs listings --attempt 0 -o json | jq 'select(.level == \"WARN\")'

Each line begins with its time and, in brackets, who says it: NODE/RANK, or NODE for a node's supervisor.";

pub(super) const SUSPEND_EXAMPLES: &str = "\
Examples:
  temper suspend listings             # saves a checkpoint, frees the pods, and says so
  temper suspend listings --no-wait";

pub(super) const RESUME_EXAMPLES: &str = "\
Examples:
  temper resume listings              # goes on from the last checkpoint
  temper resume listings --nodes 4    # on four machines; every sample is still seen once";

/// Which cluster, and where in it.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Cluster")]
pub struct AccessArgs {
    /// The kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the service account of the pod that this runs in]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig file [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace [default: the context's]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
}

/// `temper get`.
#[derive(Args, Clone, Debug)]
pub struct GetArgs {
    /// What to show: ftj (FineTuneJobs) or mv (ModelVersions), and names; a name alone is a FineTuneJob's, nothing means both kinds.
    #[arg(value_name = "KIND|NAME", add = ArgValueCompleter::new(complete::targets))]
    pub what: Vec<String>,
    /// Look in every namespace.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Only objects with these labels, as in KEY=VALUE,KEY2=VALUE2.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// Go on showing what changes.
    #[arg(short, long)]
    pub watch: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table, value_name = "FORMAT")]
    pub output: ListFormat,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: AccessArgs,
}

/// How to print a list of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Columns for people.
    Table,
    /// More of them.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// KIND.GROUP/NAME, one a line.
    Name,
}

/// `temper describe`.
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    /// A FineTuneJob's name, or mv and a ModelVersion's.
    #[arg(value_name = "KIND|NAME", required = true, add = ArgValueCompleter::new(complete::targets))]
    pub what: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: AccessArgs,
}

/// `temper logs`.
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// The FineTuneJob.
    #[arg(add = ArgValueCompleter::new(complete::jobs))]
    pub name: String,
    /// Go on until the job ends: across restarts in place, new pods, new attempts and stages.
    #[arg(short, long)]
    pub follow: bool,
    /// Only what this rank says.
    #[arg(long, value_name = "N")]
    pub rank: Option<u64>,
    /// Only this stage [default: the one that the job is at; training, where it is complete]
    #[arg(long, value_enum)]
    pub stage: Option<StageArg>,
    /// Only this attempt, counted from 0, of --stage (of training, if no stage is named) [default: the last one]
    #[arg(long, value_name = "N")]
    pub attempt: Option<u64>,
    /// The attempt before the last one.
    #[arg(short, long, conflicts_with_all = ["attempt", "follow"])]
    pub previous: bool,
    /// Only the last lines of each pod; with --rank, the last ones of that rank.
    #[arg(long, value_name = "LINES")]
    pub tail: Option<u32>,
    /// Only what was said in this time, such as 5m or 1h30m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub output: LogFormat,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: AccessArgs,
}

/// How to print log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, as the trainers write them, with the pod's name.
    Json,
}

/// A stage of a job that pods run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StageArg {
    /// Fetching, filtering and tokenising.
    Prepare,
    /// Training.
    Train,
    /// Writing and checking the model.
    Publish,
}

/// Whether to wait for what was asked for.
#[derive(Args, Clone, Copy, Debug)]
pub struct WaitArgs {
    /// Return once the API server has taken the change.
    #[arg(long, conflicts_with = "timeout")]
    pub no_wait: bool,
    /// Give up waiting after this time, such as 10m; the job goes on.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// `temper suspend`.
#[derive(Args, Clone, Debug)]
pub struct SuspendArgs {
    /// The FineTuneJob.
    #[arg(add = ArgValueCompleter::new(complete::jobs))]
    pub name: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub wait: WaitArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: AccessArgs,
}

/// `temper resume`.
#[derive(Args, Clone, Debug)]
pub struct ResumeArgs {
    /// The FineTuneJob.
    #[arg(add = ArgValueCompleter::new(complete::jobs))]
    pub name: String,
    /// Go on with so many machines: spec.trainer.numNodes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub nodes: Option<u32>,
    /// Go on with so many processes on each: spec.trainer.numProcPerNode.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub proc_per_node: Option<u32>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub wait: WaitArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: AccessArgs,
}
