//! The command line.

pub mod cluster;

use crate::exit;
use crate::output::format::Format;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use cluster::{AccessArgs, DescribeArgs, GetArgs, LogsArgs, ResumeArgs, SuspendArgs};
use std::path::PathBuf;
use std::time::Duration;

const ABOUT: &str = "Fine-tune, version and try out language models from Kubernetes manifests, on this machine and in a cluster.";

const EXAMPLES: &str = "\
On this machine:
  temper validate -f job.yaml
  temper plan -f job.yaml --volume datasets=./data
  temper run -f job.yaml --volume datasets=./data
  temper generate --model registry:listings --prompt 'Write a listing for a cottage in Ashford.'

In a cluster (as `kubectl temper ...` too: see `temper completion --help`):
  temper plan --cluster -f job.yaml
  kubectl apply -f job.yaml
  temper get --watch
  temper describe listings
  temper logs listings -f
  temper suspend listings
";

/// The `temper` command.
#[derive(Debug, Parser)]
#[command(name = "temper", version, about = ABOUT, after_help = format!("{EXAMPLES}\n{}", exit::HELP), max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a job from its manifest: prepare, train, publish, register.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Check manifests without starting anything.
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(ValidateArgs),
    /// Show what `run` would do, or with --cluster the operator: stages, processes, parameters, memory, objects.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Generate text from a model, with or without an adapter.
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(GenerateArgs),
    /// Measure a model's loss and perplexity on a data set, with or without an adapter.
    #[command(after_help = EVALUATE_EXAMPLES)]
    Evaluate(EvaluateArgs),
    /// List FineTuneJobs and ModelVersions in a cluster.
    #[command(after_help = cluster::GET_EXAMPLES)]
    Get(GetArgs),
    /// Tell the story of a FineTuneJob or ModelVersion in a cluster, and what to do next.
    #[command(after_help = cluster::DESCRIBE_EXAMPLES)]
    Describe(DescribeArgs),
    /// Print the logs of all ranks of a FineTuneJob in a cluster, merged.
    #[command(after_help = cluster::LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Hold a FineTuneJob in a cluster: it saves a checkpoint and frees its pods.
    #[command(after_help = cluster::SUSPEND_EXAMPLES)]
    Suspend(SuspendArgs),
    /// Let a held FineTuneJob go on from its checkpoint, with another size if need be.
    #[command(after_help = cluster::RESUME_EXAMPLES)]
    Resume(ResumeArgs),
    /// Print the versions of `temper` and of the trainer it would start.
    Version(VersionArgs),
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETION_EXAMPLES)]
    Completion(CompletionArgs),
}

const RUN_EXAMPLES: &str = "\
Examples:
  # pvc://datasets/... of the manifest is the folder ./data here
  temper run -f job.yaml --volume datasets=./data
  # the same command again continues an unfinished run and shows a finished one
  temper run -f job.yaml --volume datasets=./data
  # a model of the hub and data in a bucket; a folder stands in for each Secret
  temper run -f job.yaml --secret hf-token=./hf --secret s3-keys=./s3
  # compare answers before and after, and fail unless the model has learned
  temper run -f job.yaml --compare-prompts prompts.jsonl --expect '^Price: ' \\
    --require 'matchesAfter>=8' --require 'perplexityDrop>=0.4'

Ctrl-C saves a checkpoint and stops; a second Ctrl-C stops at once. Either way the same command continues.";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  temper validate -f job.yaml
  temper validate -f job.yaml --volume datasets=./data -o json
  # a job for a cluster, by its manifest alone: no cluster is asked
  temper validate --cluster -f job.yaml

Without --cluster this machine's limits apply: no GPUs, and files of pvc:// are looked for in the --volume folders.";

const PLAN_EXAMPLES: &str = "\
Examples:
  temper plan -f job.yaml --volume datasets=./data
  temper plan -f job.yaml -o yaml
  # what the operator would make, asked of the cluster's API server by a dry run; with the model here, its memory estimate too
  temper plan --cluster -f job.yaml -n ml --volume models=./models";

const GENERATE_EXAMPLES: &str = "\
Examples:
  temper generate --model registry:listings --prompt 'Write a listing for a cottage in Ashford.'
  temper generate --model base.gguf --adapter ./adapter --prompt Hello --temperature 0.7 --seed 1
  temper generate --model registry:listings/2 --prompts prompts.jsonl -o json";

const EVALUATE_EXAMPLES: &str = "\
Examples:
  temper evaluate --model base.gguf --data heldout.jsonl
  temper evaluate --model registry:listings/1 --data heldout.jsonl -o json";

const COMPLETION_EXAMPLES: &str = "\
Examples:
  source <(temper completion bash)
  source <(temper completion zsh)
  temper completion fish | source

As a plugin of kubectl, with its completion:
  ln -s \"$(command -v temper)\" ~/.local/bin/kubectl-temper
  ln -s \"$(command -v temper)\" ~/.local/bin/kubectl_complete-temper";

/// Where manifests are and what they refer to.
#[derive(Args, Clone, Debug)]
pub struct ManifestArgs {
    /// A manifest (YAML or JSON, several documents allowed); repeat for more, `-` reads standard input.
    #[arg(short, long, required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub filename: Vec<PathBuf>,
    /// The folder that stands in for a volume: `pvc://NAME/path` is FOLDER/path.
    #[arg(long, value_name = "NAME=FOLDER", value_parser = volume)]
    pub volume: Vec<(String, PathBuf)>,
    /// The folder that stands in for a Secret: a file for each key, such as FOLDER/token for hf:// or FOLDER/accessKeyId for s3://.
    #[arg(long, value_name = "NAME=FOLDER", value_parser = volume)]
    pub secret: Vec<(String, PathBuf)>,
}

/// Where runs, the registry and the trainer are.
#[derive(Args, Clone, Debug)]
pub struct PlaceArgs {
    /// Folder of runs and of the registry [default: ${XDG_DATA_HOME:-~/.local/share}/temper]
    #[arg(long, value_name = "FOLDER", env = "TEMPER_HOME", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,
    /// The temper-trainer binary [default: beside this binary, then in PATH]
    #[arg(long, value_name = "FILE", env = "TEMPER_TRAINER", hide_env_values = true, value_hint = ValueHint::ExecutablePath)]
    pub trainer: Option<PathBuf>,
}

/// How to print the result.
#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArgs {
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
}

/// `temper run`.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub manifests: ManifestArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: PlaceArgs,
    /// Start over: delete this job's run folder first (never the registry).
    #[arg(long)]
    pub fresh: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub comparison: ComparisonArgs,
    /// Exit with 5 unless this holds at the end, for instance `perplexityDrop>=0.4`; repeat for more. Names: perplexityDrop,
    /// perplexityBefore, perplexityAfter, lossBefore, lossAfter, matchesBefore, matchesAfter, tokensPerSecond, trainingSeconds.
    #[arg(long, value_name = "CONDITION")]
    pub require: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// Answers before and after tuning.
#[derive(Args, Clone, Debug)]
pub struct ComparisonArgs {
    /// After training, answer these prompts with the base model and with the tuned one (JSONL of {"prompt": ...}, {"text": ...} or
    /// {"messages": [...]}).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub compare_prompts: Option<PathBuf>,
    /// Count the answers that match this regular expression.
    #[arg(long, value_name = "PATTERN", requires = "compare_prompts")]
    pub expect: Option<String>,
    /// The longest answer to a compared prompt, in tokens.
    #[arg(long, value_name = "TOKENS", default_value_t = 160)]
    pub compare_max_new_tokens: usize,
}

/// `temper validate`.
#[derive(Args, Clone, Debug)]
pub struct ValidateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub manifests: ManifestArgs,
    /// Check for a cluster instead of this machine what the manifest alone can tell; what is in the cluster is for `plan --cluster`.
    #[arg(long, conflicts_with_all = ["volume", "secret"])]
    pub cluster: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: PlaceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// `temper plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub manifests: ManifestArgs,
    /// Ask a cluster's API server, by a dry run, what it would make of the job and of the objects that the operator makes for it.
    #[arg(long)]
    pub cluster: bool,
    /// With --cluster: the operator's pods name no user and no groups (the chart's trainer.podsWithoutUser, as for OpenShift).
    #[arg(long, requires = "cluster")]
    pub pods_without_user: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: AccessArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: PlaceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// Which model to use, and how.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// A model folder, a .gguf file, or registry:NAME[/VERSION].
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// A PEFT adapter's folder to put on the model.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub adapter: Option<PathBuf>,
    /// The base model of a registered adapter, where its recorded path is no longer right.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub base_model: Option<PathBuf>,
    /// Number type of the matrix multiplications.
    #[arg(long, value_enum, default_value_t = PrecisionArg::Fp32)]
    pub precision: PrecisionArg,
    /// Compute on an NVIDIA GPU.
    #[arg(long)]
    pub cuda: bool,
    /// Threads [default: this machine's processors]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// A file with the chat template to use instead of the tokenizer's own.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub chat_template: Option<PathBuf>,
}

/// Number type of the matrix multiplications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    /// IEEE single precision.
    Fp32,
    /// bfloat16 with fp32 accumulation.
    Bf16,
}

/// `temper generate`.
#[derive(Args, Clone, Debug)]
pub struct GenerateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    /// What to answer; repeat for more.
    #[arg(long, value_name = "TEXT", required_unless_present = "prompts")]
    pub prompt: Vec<String>,
    /// JSONL of {"prompt": ...}, {"text": ...} or {"messages": [...]}; `-` reads standard input.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub prompts: Option<PathBuf>,
    /// A system message before each prompt.
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    pub system: Option<String>,
    /// Continue each prompt as it is, without the chat template.
    #[arg(long)]
    pub raw: bool,
    /// The longest answer, in tokens.
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    pub max_new_tokens: usize,
    /// 0 takes the likeliest token each time.
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    pub temperature: f64,
    /// Sample only from the likeliest tokens that together have this probability.
    #[arg(long, value_name = "P")]
    pub top_p: Option<f64>,
    /// Sample only from the likeliest K tokens.
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Seed of the sampling.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: PlaceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// `temper evaluate`.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelArgs,
    /// A file, or a folder of shards.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub data: PathBuf,
    /// What a row looks like.
    #[arg(long, value_enum, default_value_t = RowFormat::Messages, value_name = "FORMAT")]
    pub format: RowFormat,
    /// The longest example, in tokens; longer ones are cut.
    #[arg(long, value_name = "TOKENS", default_value_t = 2048)]
    pub max_length: usize,
    /// Examples in a micro-batch.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub batch_size: usize,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: PlaceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// What a data row looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// {"text": ...}
    Text,
    /// {"prompt": ..., "completion": ...}
    PromptCompletion,
    /// {"messages": [{"role": ..., "content": ...}]}
    Messages,
    /// {"instruction": ..., "input": ..., "output": ...}
    Alpaca,
}

/// `temper version`.
#[derive(Args, Clone, Debug)]
pub struct VersionArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub place: PlaceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArgs,
}

/// `temper completion`.
#[derive(Args, Clone, Debug)]
pub struct CompletionArgs {
    /// The shell to complete for.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Reads a span of time, such as `90s`, `5m` or `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 90s, 5m or 1h30m".to_owned();
    text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok()).ok_or_else(wrong)
}

/// Reads `NAME=FOLDER`.
fn volume(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => Ok((name.to_owned(), PathBuf::from(folder))),
        _ => Err("write NAME=FOLDER, for instance datasets=./data".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command, duration};
    use clap::{CommandFactory, Parser};
    use std::time::Duration;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn spans_of_time_are_read() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "5", "-5m", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_volume_needs_a_name_and_a_folder() {
        let parsed = Cli::try_parse_from(["temper", "run", "-f", "a.yaml", "--volume", "data=/x=y"]).expect("valid");
        let Command::Run(run) = parsed.command else { panic!("not run") };
        assert_eq!(run.manifests.volume, [("data".to_owned(), "/x=y".into())]);
        for wrong in ["data", "=x", "data="] {
            assert!(Cli::try_parse_from(["temper", "run", "-f", "a.yaml", "--volume", wrong]).is_err(), "{wrong}");
        }
    }
}
