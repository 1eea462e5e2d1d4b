//! The ledger of a job's tries, as a table.

use crate::output::cluster::age;
use crate::output::cluster::columns::{Cell, Widths};
use crate::output::cluster::when::When;
use crate::output::terminal::{Colour, Terminal};
use temper_contract::ExitCode;
use temper_crds::finetunejob::attempts::{AttemptEnd, AttemptStatus, EarlierAttempts, StageName, StopCause};

/// Each try on a line, and what its process said last under it.
pub fn text(attempts: &[AttemptStatus], earlier: Option<EarlierAttempts>, when: &When, terminal: Terminal) -> String {
    if attempts.is_empty() {
        return String::new();
    }
    let head: Vec<Cell> = ["STAGE", "TRY", "STARTED", "TOOK", "END"].into_iter().map(Cell::from).collect();
    let rows: Vec<Vec<Cell>> = attempts.iter().map(|attempt| row(attempt, when)).collect();
    let mut widths = Widths::default();
    std::iter::once(&head).chain(&rows).for_each(|row| widths.fit(row));
    let mut text = earlier.map(|earlier| format!("{}\n", not_listed(earlier))).unwrap_or_default();
    text.push_str(&widths.line(&head, terminal));
    for (attempt, row) in attempts.iter().zip(&rows) {
        text.push_str(&widths.line(row, terminal));
        for line in attempt.message.iter().flat_map(|message| message.lines()) {
            text.push_str(&format!("    {}\n", terminal.painted(Colour::Dim, line)));
        }
    }
    text
}

fn row(attempt: &AttemptStatus, when: &When) -> Vec<Cell> {
    let started = attempt.started_at.0;
    let took = match &attempt.finished_at {
        Some(finished) => age::between(started, finished.0),
        None => format!("{} so far", age::between(started, when.now)),
    };
    vec![
        stage(attempt.stage).into(),
        attempt.number.to_string().into(),
        when.shown(started).into(),
        took.into(),
        Cell { text: end(attempt), colour: colour(attempt) },
    ]
}

/// The stage's name, as labels have it.
pub const fn stage(stage: StageName) -> &'static str {
    match stage {
        StageName::Prepare => "prepare",
        StageName::Train => "train",
        StageName::Publish => "publish",
    }
}

/// How a try ended, in words.
pub fn end(attempt: &AttemptStatus) -> String {
    let stop = attempt.stop.map(|stop| match stop {
        StopCause::Suspended => "told to stop: suspended",
        StopCause::DeadlineExceeded => "told to stop: activeDeadlineSeconds had passed",
        StopCause::NoProgress => "told to stop: no step for stallTimeoutSeconds",
        StopCause::PodsMissing => "told to stop: some pods did not start",
    });
    let end = match (attempt.end, attempt.exit_code) {
        (None, _) => stop.map_or("runs", |_| "is stopping").to_owned(),
        (Some(AttemptEnd::Succeeded), _) => "succeeded".to_owned(),
        (Some(AttemptEnd::OutOfMemory), _) => "out of memory".to_owned(),
        (Some(AttemptEnd::Interrupted), _) => "interrupted (pod or machine went away)".to_owned(),
        (Some(AttemptEnd::Exited), code) => exited(code),
    };
    let place = match (&attempt.pod, attempt.rank) {
        (Some(pod), Some(rank)) => format!(", pod {pod}, rank {rank}"),
        (Some(pod), None) => format!(", pod {pod}"),
        (None, Some(rank)) => format!(", rank {rank}"),
        (None, None) => String::new(),
    };
    let restarts = match attempt.in_place_restarts {
        0 => String::new(),
        1 => ", 1 restart in place".to_owned(),
        count => format!(", {count} restarts in place"),
    };
    let stop = stop.map(|stop| format!(", {stop}")).unwrap_or_default();
    let place = if attempt.end == Some(AttemptEnd::Succeeded) { String::new() } else { place };
    format!("{end}{place}{stop}{restarts}")
}

fn exited(code: Option<i32>) -> String {
    let Some(code) = code else { return "exited".to_owned() };
    match ExitCode::from_code(code) {
        Some(ExitCode::Terminated) => "stopped with a checkpoint (exit code 143)".to_owned(),
        Some(meaning) => format!("exit code {code} ({meaning:?})"),
        None if (129..160).contains(&code) => format!("signal {} (exit code {code})", code - 128),
        None => format!("exit code {code}"),
    }
}

fn colour(attempt: &AttemptStatus) -> Option<Colour> {
    match (attempt.end?, attempt.exit_code) {
        (AttemptEnd::Succeeded, _) => Some(Colour::Green),
        (AttemptEnd::Interrupted, _) | (_, Some(143)) => Some(Colour::Yellow),
        _ if attempt.stop == Some(StopCause::Suspended) => Some(Colour::Yellow),
        _ => Some(Colour::Red),
    }
}

fn not_listed(earlier: EarlierAttempts) -> String {
    let EarlierAttempts { prepare, train, publish, failures, .. } = earlier;
    let count = prepare.saturating_add(train).saturating_add(publish);
    format!(
        "{count} earlier tries are not listed ({prepare} of prepare, {train} of train, {publish} of publish; {failures} of them failures)"
    )
}
