//! `temper evaluate`.

use crate::arguments::{EvaluateArgs, RowFormat};
use crate::exit::{Exit, Stop};
use crate::local::ask::Trainer;
use crate::local::home::Home;
use crate::local::model_reference::{self, Model};
use crate::local::trainer_binary;
use crate::output::quantity::{duration, grouped, measure};
use crate::output::{format, table};
use anyhow::Result;
use temper_contract::config::{DatasetFormat, ExcessLengthStrategy};
use temper_contract::report::EvaluationReport;
use temper_contract::request::EvaluateRequest;

/// Measures a model's loss on a data set.
pub fn run(arguments: &EvaluateArgs) -> Result<Exit> {
    let data = std::path::absolute(&arguments.data).unwrap_or_else(|_| arguments.data.clone());
    if !data.exists() {
        return Err(Stop::invalid(
            format!("--data: {}: there is no such file or folder", arguments.data.display()),
            "give a JSONL file or a folder of them",
        )
        .into());
    }
    let model = Model::find(&arguments.model, &Home::find(arguments.place.home.as_deref())?)?;
    let request = EvaluateRequest {
        model: model.base,
        adapter: model.adapter,
        data,
        format: match arguments.format {
            RowFormat::Text => DatasetFormat::Text,
            RowFormat::PromptCompletion => DatasetFormat::PromptCompletion,
            RowFormat::Messages => DatasetFormat::Messages,
            RowFormat::Alpaca => DatasetFormat::Alpaca,
        },
        chat_template: model_reference::chat_template(&arguments.model)?,
        max_length: arguments.max_length,
        excess_length_strategy: ExcessLengthStrategy::Truncate,
        batch_size: arguments.batch_size.max(1),
        compute: model_reference::compute(&arguments.model),
    };
    let report = Trainer::new(trainer_binary::find(arguments.place.trainer.as_deref())?).evaluate(&request)?;
    let text = format::machine_text(arguments.output.output, &report)?;
    format::print(&text.unwrap_or_else(|| shown(&report)))?;
    Ok(Exit::Success)
}

fn shown(report: &EvaluationReport) -> String {
    let mut facts = table::of_facts();
    facts.add_row([table::text_cell("loss"), table::number(measure(report.loss))]);
    facts.add_row([table::text_cell("perplexity"), table::number(measure(report.perplexity))]);
    facts.add_row([table::text_cell("examples"), table::number(grouped(report.examples))]);
    facts.add_row([table::text_cell("target tokens"), table::number(grouped(report.target_tokens))]);
    facts.add_row([table::text_cell("time"), table::number(duration(report.seconds))]);
    table::text(&facts)
}
