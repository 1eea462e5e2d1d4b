//! `inspect`: what a job's model and data say about it before it runs. Finding problems is its purpose, so they are an answer, not a
//! failure.

use super::output;
use crate::durable::read_json;
use crate::failure::Result;
use temper_artifact::{ModelSource, match_target_modules, memory, parameters, processor};
use temper_contract::config::{DatasetFormat, Method, Validation};
use temper_contract::report::PrepareReport;
use temper_contract::request::{DatasetFacts, InspectReport, ModelFacts, Problem};
use temper_contract::{TrainerConfig, layout};
use temper_data::{ChatTemplate, Tokenizer, filters, rows};

const MODEL: &str = "spec.baseModel.storageUri";
const TARGET_MODULES: &str = "spec.method.lora.targetModules";
const TEMPLATE: &str = "spec.dataset.chatTemplate";
const FILTERS: &str = "spec.dataset.filters";
const DATASET: &str = "spec.dataset.storageUri";
const VALIDATION: &str = "spec.dataset.validation.storageUri";

/// Prints the report as JSON.
pub(crate) fn run(config: &TrainerConfig) -> Result<()> {
    super::generate::print(&report(config))
}

fn report(config: &TrainerConfig) -> InspectReport {
    let mut problems = Vec::new();
    let source = noted(&mut problems, MODEL, "give a folder in Hugging Face's layout with safetensors weights, or a .gguf file", {
        ModelSource::open(&config.base_model.path)
    });
    let model = source.and_then(|source| {
        inspect_text(config, &source, &mut problems);
        noted(&mut problems, MODEL, "correct the field that is named", source.config().check_trains(source.path()));
        noted(&mut problems, MODEL, "publish the adapter by itself, or use the model's safetensors folder", output::check(config, &source));
        inspect_model(config, &source, &mut problems)
    });
    noted(&mut problems, FILTERS, "correct the pattern", filters::Filters::new(&config.dataset.filters));
    let dataset = inspect_dataset(config, &mut problems);
    InspectReport { problems, model, dataset }
}

/// The value, or a problem more.
fn noted<T, E: std::fmt::Display>(
    problems: &mut Vec<Problem>,
    field: &str,
    next_step: &str,
    outcome: std::result::Result<T, E>,
) -> Option<T> {
    outcome
        .map_err(|error| {
            problems.push(Problem { field: field.to_owned(), message: error.to_string(), next_step: next_step.to_owned() });
        })
        .ok()
}

fn inspect_model(config: &TrainerConfig, source: &ModelSource, problems: &mut Vec<Problem>) -> Option<ModelFacts> {
    let shape = source.config();
    let adapted_modules = match &config.method {
        Method::Full => 0,
        Method::Lora(lora) => {
            let matched = match_target_modules(shape, &lora.target_modules);
            noted(problems, TARGET_MODULES, "choose from the modules that are listed, or all-linear", matched)?.len() as u64
        }
    };
    let parameters = noted(problems, TARGET_MODULES, "correct the field that is named", parameters::count(shape, &config.method))?;
    let estimate = noted(problems, MODEL, "correct the field that is named", {
        memory::estimate(shape, source.stored_bytes(), config, processor::bf16(config.parallelism.device))
    })?;
    Some(ModelFacts { family: shape.family.model_type().to_owned(), parameters, adapted_modules, memory_estimate_bytes: estimate.total })
}

/// The tokenizer, and the chat template where the data needs one.
fn inspect_text(config: &TrainerConfig, source: &ModelSource, problems: &mut Vec<Problem>) {
    let files = noted(problems, MODEL, "add the tokenizer's files to the model's folder", source.tokenizer());
    let Some(files) = files else { return };
    let tokenizer = noted(problems, MODEL, "use the tokenizer that belongs to the model", Tokenizer::open(&files));
    if let Some(tokenizer) = tokenizer
        && config.dataset.format == DatasetFormat::Messages
    {
        let chosen = ChatTemplate::choose(&config.dataset.chat_template, false, &files, &tokenizer);
        noted(problems, TEMPLATE, "give a Jinja template inline, or use a base model that has one", chosen);
    }
}

fn inspect_dataset(config: &TrainerConfig, problems: &mut Vec<Problem>) -> Option<DatasetFacts> {
    if let Some(Validation::Path(path)) = &config.dataset.validation {
        noted(problems, VALIDATION, "give a file or a folder of files that is there", rows::Shards::find(path));
    }
    let shards = rows::Shards::find(&config.dataset.path);
    let shards = noted(problems, DATASET, "give a file or a folder of files that is there", shards)?;
    let prepared: Option<PrepareReport> = read_json(&config.run_folder.join(layout::PREPARE_REPORT)).ok().flatten();
    Some(DatasetFacts { files: shards.files.len() as u64, bytes: shards.bytes(), counts: prepared.map(|report| report.counts) })
}
