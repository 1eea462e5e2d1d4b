//! A forecast as tables for people.

use crate::forecast::{Forecast, ModelForecast};
use crate::output::quantity::{bytes, grouped};
use crate::output::table::{self, number};
use crate::output::terminal::Terminal;
use comfy_table::Table;

/// The whole forecast.
pub fn text(forecast: &Forecast, terminal: Terminal) -> String {
    let mut stages = table::with_header(&["Stage", "State", "Processes", "What"]);
    for stage in &forecast.stages {
        let processes = if stage.processes == 0 { "-".to_owned() } else { stage.processes.to_string() };
        stages.add_row([table::text_cell(&stage.name), table::text_cell(&stage.state), number(processes), table::text_cell(&stage.action)]);
    }
    let mut facts = table::of_facts();
    match &forecast.model {
        Some(model) => add_model(&mut facts, model),
        None => {
            add(&mut facts, "base model", "is fetched by prepare; its size and the memory that training takes are known then".to_owned())
        }
    }
    if let Some(counts) = &forecast.dataset {
        add(
            &mut facts,
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
    add(&mut facts, "steps", format!("{steps}, up to {} examples each", grouped(forecast.examples_per_step)));
    format!(
        "{}: {}\n{}{}run {}\n",
        terminal.bold(&forecast.job),
        forecast.situation,
        table::text(&stages),
        table::text(&facts),
        forecast.run.display()
    )
}

fn add(facts: &mut Table, name: &str, value: String) {
    facts.add_row([name.to_owned(), value]);
}

fn add_model(facts: &mut Table, model: &ModelForecast) {
    let adapters = if model.adapted_modules > 0 { model.parameters.trainable } else { 0 };
    add(facts, "base model", format!("{}, {} parameters", model.family, grouped(model.parameters.total.saturating_sub(adapters))));
    add(
        facts,
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
        facts,
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
        add(facts, "", format!("WARNING: this machine has only {} to give", bytes(available)));
    }
}
