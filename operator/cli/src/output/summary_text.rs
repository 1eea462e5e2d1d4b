//! A finished run as tables for people.

use crate::output::quantity::{bytes, change, duration, figure, grouped, measure};
use crate::output::table::{self, number};
use crate::output::terminal::Terminal;
use crate::summary::Summary;
use temper_contract::report::DatasetCounts;

/// The whole summary.
pub fn text(summary: &Summary, terminal: Terminal) -> String {
    let state = if summary.already_complete { "already complete" } else { "complete" };
    let mut text = format!("{}\n", terminal.bold(&format!("{} is {state}", summary.job)));
    text.push_str(&figures(summary));
    text.push_str(&facts(summary));
    text.push_str(&places(summary));
    for verdict in &summary.requirements {
        let value = verdict.value.map_or_else(|| "not measured".to_owned(), figure);
        text.push_str(&format!("{} --require {}: {value}\n", if verdict.met { "met:   " } else { "MISSED:" }, verdict.condition));
    }
    if !summary.next.is_empty() {
        text.push_str(&format!("\n{}\n", terminal.bold("Next")));
        for command in &summary.next {
            text.push_str(&format!("  {command}\n"));
        }
    }
    text
}

/// Before and after.
fn figures(summary: &Summary) -> String {
    let mut shown = table::with_header(&["", "Before", "After", "Change"]);
    if let Some(held_out) = &summary.held_out {
        for (name, before, after) in [
            ("held-out loss", held_out.loss_before, held_out.loss_after),
            ("held-out perplexity", held_out.perplexity_before, held_out.perplexity_after),
        ] {
            shown.add_row([table::text_cell(name), number(measure(before)), number(measure(after)), number(change(before, after))]);
        }
    }
    if let Some(comparison) = &summary.comparison
        && let (Some(before), Some(after)) = (comparison.matches_before, comparison.matches_after)
    {
        let of = |count: usize| number(format!("{count} of {}", comparison.prompts));
        let difference = number(format!("{:+}", after as i64 - before as i64));
        shown.add_row([table::text_cell("answers as expected"), of(before), of(after), difference]);
    }
    if shown.is_empty() { String::new() } else { table::text(&shown) }
}

fn facts(summary: &Summary) -> String {
    let training = &summary.training;
    let plural = |count: u64, one: &str| format!("{} {one}{}", grouped(count), if count == 1 { "" } else { "s" });
    let mut shown = table::of_facts();
    let mut add = |name: &str, value: String| {
        shown.add_row([name.to_owned(), value]);
    };
    add(
        "trainable parameters",
        format!(
            "{} of {} ({:.2}%)",
            grouped(summary.parameters.trainable),
            grouped(summary.parameters.total),
            summary.parameters.trainable_percent()
        ),
    );
    add("rows", rows(&summary.dataset));
    add(
        "steps",
        match training.reason.as_str() {
            "earlyStopping" => format!("{} of {} (stopped early)", grouped(training.steps), grouped(training.total_steps)),
            _ => grouped(training.steps),
        },
    );
    add("speed", format!("{} tokens/s on {}", grouped(training.tokens_per_second.round() as u64), plural(training.ranks as u64, "rank")));
    if training.peak_memory_bytes > 0 {
        add("peak memory", format!("{} a rank", bytes(training.peak_memory_bytes)));
    }
    if training.restarts > 0 {
        add("restarts", grouped(training.restarts));
    }
    let seconds = &summary.seconds;
    add(
        "time",
        format!(
            "prepare {}, train {} (of it evaluation {}), publish {}",
            duration(seconds.prepare),
            duration(seconds.train),
            duration(seconds.evaluate),
            duration(seconds.publish)
        ),
    );
    table::text(&shown)
}

fn rows(counts: &DatasetCounts) -> String {
    format!(
        "{} trained on, {} held out, {} rejected",
        grouped(counts.accepted),
        grouped(counts.validation),
        grouped(counts.rejected_total())
    )
}

/// Paths stand outside of tables, so that they can be copied whole.
fn places(summary: &Summary) -> String {
    let mut lines = Vec::new();
    if let Some(version) = &summary.model_version {
        lines.push(("registered", format!("{} version {}, stage {}", version.model_name, version.version, version.stage)));
    }
    lines.push(("model", summary.places.model.display().to_string()));
    if let Some(uri) = &summary.places.uploaded {
        lines.push(("uploaded to", uri.clone()));
    }
    lines.push(("checkpoints", summary.places.checkpoints.display().to_string()));
    lines.push(("logs", summary.places.logs.display().to_string()));
    lines.push(("run", summary.places.run.display().to_string()));
    lines.into_iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

/// Rows that were left out, by reason, with the first places; empty if none was.
pub fn rejected(counts: &DatasetCounts) -> String {
    if counts.rejected.is_empty() {
        return String::new();
    }
    let mut shown = table::with_header(&["Rejected because", "Rows", "First at"]);
    for (reason, rejection) in &counts.rejected {
        shown.add_row([table::text_cell(reason), number(grouped(rejection.count)), table::text_cell(rejection.first.join(", "))]);
    }
    table::text(&shown)
}
