//! A forecast as tables for people.

use crate::forecast::Forecast;
use crate::output::quantity::{bytes, grouped};
use crate::output::table::{self, number};
use crate::output::terminal::Terminal;

/// The whole forecast.
pub fn text(forecast: &Forecast, terminal: Terminal) -> String {
    let mut stages = table::with_header(&["Stage", "State", "Processes", "What"]);
    for stage in &forecast.stages {
        let processes = if stage.processes == 0 { "-".to_owned() } else { stage.processes.to_string() };
        stages.add_row([table::text_cell(&stage.name), table::text_cell(&stage.state), number(processes), table::text_cell(&stage.action)]);
    }
    let model = &forecast.model;
    let mut facts = table::of_facts();
    let mut add = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    let adapters = if model.adapted_modules > 0 { model.parameters.trainable } else { 0 };
    add("base model", format!("{}, {} parameters", model.family, grouped(model.parameters.total.saturating_sub(adapters))));
    add(
        "trainable parameters",
        match model.adapted_modules {
            0 => format!("{} ({:.2}%)", grouped(model.parameters.trainable), model.parameters.trainable_percent()),
            modules => format!(
                "{} ({:.2}%) in adapters of {} modules",
                grouped(model.parameters.trainable),
                model.parameters.trainable_percent(),
                grouped(modules as u64)
            ),
        },
    );
    let memory = &model.memory_bytes;
    add(
        "memory estimate",
        format!(
            "{} a rank, {} in all (a rank: weights {}, gradients {}, optimizer {}, activations {})",
            bytes(model.memory_bytes_per_rank),
            bytes(model.memory_bytes_total),
            bytes(memory.weights),
            bytes(memory.gradients),
            bytes(memory.optimizer),
            bytes(memory.activations)
        ),
    );
    if let Some(available) = model.memory_bytes_available.filter(|available| *available < model.memory_bytes_total) {
        add("", format!("WARNING: this machine has only {} to give", bytes(available)));
    }
    if let Some(counts) = &forecast.dataset {
        add(
            "data",
            format!(
                "{} rows trained on, {} held out, {} rejected; {} tokens a pass ({} targets)",
                grouped(counts.accepted),
                grouped(counts.validation),
                grouped(counts.rejected_total()),
                grouped(counts.tokens),
                grouped(counts.target_tokens)
            ),
        );
    }
    let steps = forecast.total_steps.map_or_else(|| "known once the data is prepared".to_owned(), grouped);
    add("steps", format!("{steps}, up to {} examples each", grouped(forecast.examples_per_step)));
    format!(
        "{}: {}\n{}{}run {}\n",
        terminal.bold(&forecast.job),
        forecast.situation,
        table::text(&stages),
        table::text(&facts),
        forecast.run.display()
    )
}
