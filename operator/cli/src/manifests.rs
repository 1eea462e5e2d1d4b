//! The manifests on the command line, and everything that is wrong with them.

use crate::exit::{Exit, Stop};
use crate::input;
use crate::output::table;
use serde::Serialize;
use std::path::{Path, PathBuf};
use temper_crds::{FineTuneJob, Manifest, Resource, parse_manifest};
use temper_planner::Problem;

/// One job and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct JobManifest {
    /// The file, as it was given.
    pub file: String,
    /// The document, for line numbers.
    pub manifest: Manifest,
    /// The job.
    pub job: FineTuneJob,
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line; 0 where there is none.
    pub line: u64,
    /// The field; empty for the whole file.
    pub field: String,
    /// The value that stands there.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do.
    pub next_step: String,
}

/// Reads every job of every file; all findings together if there are any.
pub fn read(files: &[PathBuf]) -> Result<Vec<JobManifest>, Vec<Finding>> {
    let mut jobs: Vec<JobManifest> = Vec::new();
    let mut findings = Vec::new();
    for path in files {
        match read_file(path) {
            Ok(found) => jobs.extend(found),
            Err(found) => findings.extend(found),
        }
    }
    for (index, job) in jobs.iter().enumerate() {
        let name = &job.job.metadata.name;
        if let Some(earlier) = jobs[..index].iter().find(|earlier| earlier.job.metadata.name == *name) {
            findings.push(Finding {
                field: "metadata.name".to_owned(),
                value: name.clone().unwrap_or_default(),
                reason: format!("is the name of the job in {} too", earlier.file),
                next_step: "give each job a name of its own".to_owned(),
                line: job.manifest.line_of("metadata.name"),
                file: job.file.clone(),
            });
        }
    }
    if findings.is_empty() { Ok(jobs) } else { Err(findings) }
}

fn read_file(path: &Path) -> Result<Vec<JobManifest>, Vec<Finding>> {
    let file = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let whole = |reason: String, next_step: &str| Finding {
        file: file.clone(),
        line: 0,
        field: String::new(),
        value: String::new(),
        reason,
        next_step: next_step.to_owned(),
    };
    let text = input::read_text(path).map_err(|error| vec![whole(format!("cannot be read: {error}"), "check the path given to -f")])?;
    let manifests = parse_manifest(&text).map_err(|error| {
        let found = |problem: temper_crds::manifest::Problem| Finding {
            file: file.clone(),
            line: problem.line,
            field: problem.path,
            value: problem.value,
            reason: problem.reason,
            next_step: problem.next_step,
        };
        error.problems.into_iter().map(found).collect::<Vec<_>>()
    })?;
    let mut jobs = Vec::new();
    let mut findings = Vec::new();
    for manifest in manifests {
        match manifest.resource.clone() {
            Resource::FineTuneJob(job) => jobs.push(JobManifest { file: file.clone(), job: *job, manifest }),
            other => findings.push(Finding {
                line: manifest.line,
                field: "kind".to_owned(),
                value: other.kind().to_owned(),
                ..whole("is not something to run".to_owned(), "give manifests of kind FineTuneJob")
            }),
        }
    }
    if findings.is_empty() { Ok(jobs) } else { Err(findings) }
}

impl JobManifest {
    /// The planner's problems with their places.
    pub fn locate(&self, problems: Vec<Problem>) -> Vec<Finding> {
        let located = |problem: Problem| Finding {
            file: self.file.clone(),
            line: self.manifest.line_of(&problem.path),
            field: problem.path,
            value: problem.value,
            reason: problem.reason,
            next_step: problem.next_step,
        };
        problems.into_iter().map(located).collect()
    }

    /// The job's name.
    pub fn name(&self) -> &str {
        self.job.metadata.name.as_deref().unwrap_or_default()
    }
}

/// Findings as a table.
pub fn table(findings: &[Finding]) -> String {
    let mut shown = table::with_header(&["Where", "Field", "Problem", "Next step"]);
    for finding in findings {
        let place = if finding.line == 0 { finding.file.clone() } else { format!("{}:{}", finding.file, finding.line) };
        let problem = if finding.value.is_empty() { finding.reason.clone() } else { format!("{}: {}", finding.value, finding.reason) };
        shown.add_row([&place, &finding.field, &problem, &finding.next_step]);
    }
    table::text(&shown)
}

/// The end of a command whose manifests are wrong.
pub fn refused(findings: &[Finding]) -> Stop {
    let count = match findings.len() {
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    };
    Stop::new(Exit::InvalidInput, format!("{count} in the manifests\n{}", table(findings).trim_end()), "")
}
