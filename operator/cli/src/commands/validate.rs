//! `temper validate`.

use crate::arguments::ValidateArgs;
use crate::exit::Exit;
use crate::local::ask::Trainer;
use crate::local::disk;
use crate::local::job::{self, Sources};
use crate::local::model_check;
use crate::local::trainer_binary;
use crate::local::volumes::{Input, Volumes};
use crate::manifests::{self, Finding, JobManifest};
use crate::output::format;
use anyhow::Result;
use serde::Serialize;
use temper_planner::{Capabilities, Problem, ValidatedFineTuneJob, validate};

/// What was found.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    valid: bool,
    jobs: Vec<String>,
    problems: Vec<Finding>,
    /// What could not be looked at.
    not_checked: Vec<String>,
}

/// Checks manifests.
pub fn run(arguments: &ValidateArgs) -> Result<Exit> {
    let mut report = Report::default();
    match manifests::read(&arguments.manifests.filename) {
        Err(findings) => report.problems = findings,
        Ok(jobs) => {
            let volumes = Volumes::new(&arguments.manifests.volume, &arguments.manifests.secret);
            for job in &jobs {
                report.jobs.push(job.name().to_owned());
                let problems = if arguments.cluster {
                    check_for_a_cluster(job, &mut report.not_checked)
                } else {
                    check(job, &volumes, arguments, &mut report.not_checked)?
                };
                report.problems.extend(job.locate(problems));
            }
        }
    }
    report.valid = report.problems.is_empty();
    let text = format::machine_text(arguments.output.output, &report)?;
    format::print(&text.unwrap_or_else(|| shown(&report)))?;
    Ok(if report.valid { Exit::Success } else { Exit::InvalidInput })
}

/// What the manifest alone tells of a job that pods are to run.
fn check_for_a_cluster(manifest: &JobManifest, not_checked: &mut Vec<String>) -> Vec<Problem> {
    if let Err(problems) = validate(&manifest.job, Capabilities::CLUSTER) {
        return problems;
    }
    not_checked.push(format!(
        "{}: whether what it names is in the cluster, and machines have room for it; temper plan --cluster asks the cluster",
        manifest.name()
    ));
    Vec::new()
}

fn check(manifest: &JobManifest, volumes: &Volumes, arguments: &ValidateArgs, not_checked: &mut Vec<String>) -> Result<Vec<Problem>> {
    let (validated, sources) = match job::check(&manifest.job, volumes) {
        Ok(found) => found,
        Err(problems) => {
            // A manifest is valid without its volumes and Secrets: it may be meant for a cluster.
            let (absent, wrong): (Vec<_>, Vec<_>) = problems.into_iter().partition(|problem| problem.is_absence);
            if wrong.is_empty() {
                not_checked
                    .extend(absent.iter().map(|problem| format!("{}: what {} names: {}", problem.path, problem.value, problem.next_step)));
            } else if validate(&manifest.job, Capabilities::CLUSTER).is_ok() {
                not_checked.push(format!("{}: for a cluster, where this machine's limits do not apply: add --cluster", manifest.name()));
            }
            return Ok(wrong);
        }
    };
    not_checked.extend(job::without_effect(&validated));
    check_inputs(&validated, &sources, arguments, not_checked)
}

/// Looks at the model and the data.
fn check_inputs(
    validated: &ValidatedFineTuneJob,
    sources: &Sources,
    arguments: &ValidateArgs,
    not_checked: &mut Vec<String>,
) -> Result<Vec<Problem>> {
    let folder = tempfile::tempdir().map_err(disk::refused_temporary(|| "cannot make a temporary folder".to_owned()))?;
    let config = job::config_in(validated, sources, folder.path());
    if sources.base_model == Input::Elsewhere {
        let uri = &validated.base_model.uri;
        not_checked
            .push(format!("spec.baseModel, spec.dataset: {uri} is not on this machine; temper run fetches it and looks before it trains"));
        return Ok(Vec::new());
    }
    let mut problems: Vec<Problem> = match model_check::check(&config) {
        Ok(model) => model.excess(validated).into_iter().collect(),
        Err(problem) => return Ok(vec![problem]),
    };
    if sources.dataset == Input::Elsewhere || sources.validation == Some(Input::Elsewhere) {
        not_checked.push("spec.dataset: the rows are not on this machine; temper run fetches them and looks before it trains".to_owned());
        return Ok(problems);
    }
    let trainer = match trainer_binary::find(arguments.place.trainer.as_deref()) {
        Ok(trainer) => trainer,
        Err(stop) if arguments.place.trainer.is_some() => return Err(stop.into()),
        Err(stop) => {
            not_checked.push(format!("spec.dataset: what the rows hold: {}; {}", stop.message, stop.next_step));
            return Ok(problems);
        }
    };
    match Trainer::new(trainer).inspect(&config) {
        Ok(found) => {
            let problem = |found: temper_contract::request::Problem| Problem::new(found.field, "", found.message, found.next_step);
            problems.extend(found.problems.into_iter().map(problem));
        }
        Err(error) => not_checked.push(format!("spec.dataset: what the rows hold: {error:#}")),
    }
    Ok(problems)
}

fn shown(report: &Report) -> String {
    let mut text = String::new();
    if report.problems.is_empty() {
        for job in &report.jobs {
            text.push_str(&format!("{job} is valid\n"));
        }
    } else {
        text.push_str(&manifests::table(&report.problems));
    }
    for note in &report.not_checked {
        text.push_str(&format!("not checked: {note}\n"));
    }
    text
}
