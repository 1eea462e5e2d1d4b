//! `temper run`.

use crate::arguments::RunArgs;
use crate::exit::{Exit, Stop};
use crate::local::comparison::Comparison;
use crate::local::durable;
use crate::local::execute::{self, Ending, Executor};
use crate::local::home::Home;
use crate::local::inputs::Digests;
use crate::local::job::{self, LocalJob};
use crate::local::lock::{Attempt, Lock};
use crate::local::run_folder::newest_checkpoint;
use crate::local::state::RunState;
use crate::local::trainer_binary;
use crate::local::volumes::Volumes;
use crate::manifests;
use crate::output::aside;
use crate::output::format::{self, Format};
use crate::output::progress::{self, Progress};
use crate::output::terminal::Terminal;
use crate::output::{answers, summary_text};
use crate::prompts;
use crate::requirement::Requirement;
use crate::summary::{Invocation, Summary};
use anyhow::{Context, Result};
use regex::Regex;
use std::fs;
use std::io::ErrorKind;
use temper_contract::Event;
use temper_contract::request::Prompt;
use temper_crds::Timestamp;
use temper_crds::condition::reason;

/// Answers that are shown side by side; all are kept.
const SHOWN_ANSWERS: usize = 3;

/// What is asked besides the job itself, checked before it starts.
struct Wishes {
    prompts: Vec<Prompt>,
    first_prompt: Option<String>,
    expect: Option<Regex>,
    requirements: Vec<Requirement>,
}

/// Runs every job of the manifests, one after the other.
pub fn run(arguments: &RunArgs, terminal: Terminal) -> Result<Exit> {
    let manifests = manifests::read(&arguments.manifests.filename).map_err(|findings| manifests::refused(&findings))?;
    let volumes = Volumes::new(&arguments.manifests.volume, &arguments.manifests.secret);
    let mut checked = Vec::new();
    let mut findings = Vec::new();
    for manifest in &manifests {
        match job::check(&manifest.job, &volumes) {
            Ok((validated, sources)) => {
                job::without_effect(&validated).into_iter().for_each(|note| aside::say(format_args!("note: {note}")));
                checked.push((manifest, validated, sources));
            }
            Err(problems) => findings.extend(manifest.locate(problems)),
        }
    }
    if !findings.is_empty() {
        return Err(manifests::refused(&findings).into());
    }
    let wishes = wishes(arguments)?;
    let home = Home::find(arguments.place.home.as_deref())?;
    let mut digests = Digests::open(home.digests());
    let mut summaries = Vec::new();
    let mut exit = Exit::Success;
    for (manifest, validated, sources) in checked {
        let job = LocalJob::new(&manifest.job, validated, sources, &home, &mut digests)?;
        digests.save()?;
        let summary = run_job(&job, &home, arguments, &wishes, terminal)?;
        if summary.requirements.iter().any(|verdict| !verdict.met) {
            exit = Exit::RequirementMissed;
        }
        if arguments.output.output == Format::Table {
            format::print(&summary_text::text(&summary, terminal))?;
        }
        summaries.push(summary);
    }
    let machine = match summaries.as_slice() {
        [one] => format::machine_text(arguments.output.output, one)?,
        several => format::machine_text(arguments.output.output, &several)?,
    };
    if let Some(text) = machine {
        format::print(&text)?;
    }
    Ok(exit)
}

fn wishes(arguments: &RunArgs) -> Result<Wishes, Stop> {
    let comparison = &arguments.comparison;
    let requirements: Vec<Requirement> = arguments.require.iter().map(|text| Requirement::parse(text)).collect::<Result<_, _>>()?;
    if requirements.iter().any(Requirement::needs_comparison) && comparison.expect.is_none() {
        return Err(Stop::usage(
            "--require: matches are counted only of compared answers",
            "add --compare-prompts FILE and --expect PATTERN",
        ));
    }
    let expect = comparison
        .expect
        .as_deref()
        .map(|pattern| {
            Regex::new(pattern)
                .map_err(|error| Stop::usage(format!("--expect: {error}"), "write a regular expression of Rust's regex crate"))
        })
        .transpose()?;
    let prompts = match &comparison.compare_prompts {
        Some(path) => prompts::read(path, "--compare-prompts", None, false)?,
        None => Vec::new(),
    };
    let first_prompt = prompts.first().and_then(|prompt| match prompt {
        Prompt::Messages(messages) => messages.last()?.get("content")?.as_str().map(str::to_owned),
        Prompt::Text(text) => Some(text.clone()),
    });
    Ok(Wishes { prompts, first_prompt, expect, requirements })
}

/// Carries one job through.
fn run_job(job: &LocalJob, home: &Home, arguments: &RunArgs, wishes: &Wishes, terminal: Terminal) -> Result<Summary> {
    let _lock = match Lock::try_take(&home.lock(&format!("{}.run", job.identity.run_name())))? {
        Attempt::Taken(lock) => lock,
        Attempt::Held(holder) => {
            let holder = holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            let message = format!("{holder} runs {} at the moment (run {})", job.validated.name, job.identity.run_name());
            return Err(Stop::new(Exit::Busy, message, "wait for it, or stop it with Ctrl-C where it runs").into());
        }
    };
    if arguments.fresh {
        start_over(job)?;
    }
    let already_complete = execute::is_complete(job)?;
    let mut progress = progress::for_terminal(terminal);
    let trainer = || trainer_binary::find(arguments.place.trainer.as_deref());
    if !already_complete {
        let executor = Executor::new(job, trainer()?, home, progress.as_mut())?;
        match executor.run()? {
            Ending::Complete => {}
            Ending::Interrupted => return Err(interrupted(job).into()),
            Ending::Failed { reason, message } => return Err(failed(job, &reason, &message).into()),
        }
    }
    let state: RunState = durable::read_json(&job.run.state())?.unwrap_or_default();
    let mut summary = Summary::of(job, &state, already_complete)?;
    if !wishes.prompts.is_empty() {
        let comparison = compare(job, arguments, wishes, progress.as_mut())?;
        let judged = comparison.judge(wishes.expect.as_ref());
        if arguments.output.output == Format::Table {
            format::print(&answers::text(&judged, SHOWN_ANSWERS))?;
        }
        summary.comparison = Some(judged);
    }
    let figures = summary.figures();
    summary.requirements = wishes.requirements.iter().map(|requirement| requirement.check(&figures)).collect();
    summary.next = invocation(arguments).next_commands(&summary, job, wishes.first_prompt.as_deref());
    Ok(summary)
}

fn compare(job: &LocalJob, arguments: &RunArgs, wishes: &Wishes, progress: &mut dyn Progress) -> Result<Comparison> {
    let mut shown = false;
    let comparison = Comparison::make(
        job,
        || Ok(trainer_binary::find(arguments.place.trainer.as_deref())?),
        &wishes.prompts,
        arguments.comparison.compare_max_new_tokens,
        |done, total| {
            if !std::mem::replace(&mut shown, true) {
                progress.stage("compare");
            }
            progress.event(&Event::Preparing { stage: "answering the prompts".to_owned(), done, total });
        },
    );
    if shown {
        progress.finish();
    }
    comparison
}

/// Deletes what the run made on this machine, and nothing else: never the registry, nor copies of checkpoints elsewhere. From those the
/// run does not go on: what is remembered of it tells them apart from what it copies from now on.
fn start_over(job: &LocalJob) -> Result<()> {
    if let Some(place) = job.validated.checkpoint_location.as_ref().filter(|place| place.is_remote()) {
        aside::say(format_args!("note: copies of earlier checkpoints stay in {}", place.uri));
    }
    let state = RunState { started_over_at: Some(Timestamp::now()), ..RunState::default() };
    let remember = || durable::write_json(&job.run.state(), &state);
    // First, in case that this does not live to delete everything; and again, should that be what makes room for it.
    let remembered = remember();
    for folder in [&job.folders.checkpoints, &job.folders.output] {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("--fresh: cannot delete {}", folder.display()));
            }
            _ => {}
        }
    }
    job.run.clear()?;
    remembered.or_else(|_| remember())
}

fn failed(job: &LocalJob, why: &str, message: &str) -> Stop {
    let cannot_succeed = [reason::INVALID_INPUT, reason::UNAVAILABLE, reason::INSUFFICIENT_MEMORY].contains(&why);
    let exit = if cannot_succeed { Exit::InvalidInput } else { Exit::JobFailed };
    let next = match newest_checkpoint(&job.folders.checkpoints) {
        Some(checkpoint) => format!("the same command tries again from step {}", checkpoint.step),
        None => "the same command tries again".to_owned(),
    };
    Stop::new(exit, format!("{} failed ({why}): {message}", job.validated.name), format!("{next}; logs: {}", job.run.logs().display()))
}

fn interrupted(job: &LocalJob) -> Stop {
    let saved = match newest_checkpoint(&job.folders.checkpoints) {
        Some(checkpoint) => format!("; the last checkpoint is of step {}", checkpoint.step),
        None => String::new(),
    };
    Stop::new(Exit::Interrupted, format!("interrupted{saved}"), format!("the same command continues: {}", typed_command()))
}

/// The words of the command line. One that is no text is shown as far as it is.
fn words() -> impl Iterator<Item = String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned())
}

/// The command line as it was typed, less `--fresh`: that would not continue.
fn typed_command() -> String {
    let words = words().filter(|word| word != "--fresh");
    words.map(|word| crate::shell::quoted(&word)).collect::<Vec<_>>().join(" ")
}

fn invocation(arguments: &RunArgs) -> Invocation {
    let given = |flag: &str, value: &Option<std::path::PathBuf>| value.clone().filter(|_| typed(flag));
    Invocation {
        program: words().next().filter(|program| program.contains('/')).unwrap_or_else(|| "temper".to_owned()),
        home: given("--home", &arguments.place.home),
        trainer: given("--trainer", &arguments.place.trainer),
    }
}

/// Whether a flag stands on the command line (and not in the environment, which the next command inherits).
fn typed(flag: &str) -> bool {
    words().any(|word| word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')))
}
