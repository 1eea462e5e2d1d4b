//! `temper describe`.

use crate::arguments::cluster::DescribeArgs;
use crate::cluster::access::{self, Session};
use crate::cluster::kind::Kind;
use crate::cluster::target::{self, Target};
use crate::cluster::{events, lookup};
use crate::exit::{Exit, Stop};
use crate::output::cluster::when::When;
use crate::output::cluster::{job_story, version_story};
use crate::output::format;
use crate::output::terminal::Terminal;
use crate::program::Program;
use anyhow::Result;
use temper_crds::{FineTuneJob, ModelVersion};

/// Tells the story of objects, one after the other.
///
/// # Errors
/// Where one is not there or cannot be had.
pub fn run(arguments: &DescribeArgs, terminal: Terminal, program: Program) -> Result<Exit> {
    let Target::Named(names) = target::parse(&arguments.what)? else {
        return Err(Stop::usage(
            format!("{}: names no object", arguments.what.join(" ")),
            format!("give a name; there are: {} get", program.name()),
        )
        .into());
    };
    access::block_on(async {
        let session = Session::open(&arguments.access).await?;
        for (index, (kind, name)) in names.iter().enumerate() {
            let text = story(&session, *kind, name, terminal, program).await?;
            format::print(&if index == 0 { text } else { format!("\n\n{text}") })?;
        }
        Ok(Exit::Success)
    })
}

async fn story(session: &Session, kind: Kind, name: &str, terminal: Terminal, program: Program) -> Result<String, Stop> {
    let object = lookup::object(session, kind, name, program).await?;
    let mut happenings = match &object.metadata.uid {
        Some(uid) => events::about(session, uid).await,
        None => Vec::new(),
    };
    match kind {
        Kind::FineTuneJob => {
            let job: FineTuneJob = lookup::typed(&object, kind)?;
            // Warnings about a job of the same name that was there before are no part of this one's story.
            let created = job.metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default();
            happenings.extend(events::about_family(session, name).await.into_iter().filter(|happening| happening.at >= created));
            Ok(job_story::text(&job, &happenings, &When::here(), terminal, program))
        }
        Kind::ModelVersion => {
            let version: ModelVersion = lookup::typed(&object, kind)?;
            Ok(version_story::text(&version, &happenings, &When::here(), terminal))
        }
    }
}
