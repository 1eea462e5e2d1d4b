//! `temper generate`.

use crate::arguments::GenerateArgs;
use crate::exit::{Exit, Stop};
use crate::local::ask::Trainer;
use crate::local::home::Home;
use crate::local::model_reference::{self, Model};
use crate::local::trainer_binary;
use crate::output::format::{self, Format};
use crate::output::terminal::Terminal;
use crate::prompts;
use anyhow::Result;
use temper_contract::report::Generation;
use temper_contract::request::{GenerateRequest, Prompt, Sampling};

/// Generates text from a model.
pub fn run(arguments: &GenerateArgs, terminal: Terminal) -> Result<Exit> {
    let sampling = sampling(arguments)?;
    let mut prompts: Vec<Prompt> = arguments.prompt.iter().map(|text| one_prompt(arguments, text)).collect();
    if let Some(path) = &arguments.prompts {
        prompts.extend(prompts::read(path, "--prompts", arguments.system.as_deref(), arguments.raw)?);
    }
    let model = Model::find(&arguments.model, &Home::find(arguments.place.home.as_deref())?)?;
    let request = GenerateRequest {
        model: model.base,
        adapter: model.adapter,
        chat_template: model_reference::chat_template(&arguments.model)?,
        sampling,
        max_new_tokens: arguments.max_new_tokens,
        compute: model_reference::compute(&arguments.model),
        prompts,
    };
    let trainer = Trainer::new(trainer_binary::find(arguments.place.trainer.as_deref())?);
    let several = request.prompts.len() > 1;
    let mut printed = Ok(());
    let answers = trainer.generate(&request, |answer| {
        if arguments.output.output == Format::Table && printed.is_ok() {
            printed = format::print(&shown(answer, several, terminal));
        }
    })?;
    printed?;
    if let Some(text) = format::machine_text(arguments.output.output, &answers)? {
        format::print(&text)?;
    }
    Ok(Exit::Success)
}

fn one_prompt(arguments: &GenerateArgs, text: &str) -> Prompt {
    if arguments.raw { Prompt::Text(text.to_owned()) } else { prompts::conversation(arguments.system.as_deref(), text) }
}

/// The answer alone for one prompt; after its question where there are several.
fn shown(answer: &Generation, several: bool, terminal: Terminal) -> String {
    let text = answer.text.trim_end();
    if several { format!("{}\n{text}\n\n", terminal.bold(&format!("> {}", answer.prompt.trim()))) } else { format!("{text}\n") }
}

fn sampling(arguments: &GenerateArgs) -> Result<Sampling, Stop> {
    let wrong = |flag: &str, value: String, next: &str| Err(Stop::usage(format!("{flag} {value}: out of range"), next));
    if !arguments.temperature.is_finite() || arguments.temperature < 0.0 {
        return wrong("--temperature", arguments.temperature.to_string(), "give 0 (the likeliest token each time) or more");
    }
    if let Some(top_p) = arguments.top_p.filter(|top_p| !(*top_p > 0.0 && *top_p <= 1.0)) {
        return wrong("--top-p", top_p.to_string(), "give a number above 0 and at most 1");
    }
    if arguments.top_k == Some(0) {
        return wrong("--top-k", "0".to_owned(), "give 1 or more, or leave it out");
    }
    if arguments.max_new_tokens == 0 {
        return wrong("--max-new-tokens", "0".to_owned(), "give 1 or more");
    }
    Ok(Sampling { temperature: arguments.temperature, top_k: arguments.top_k, top_p: arguments.top_p, seed: arguments.seed })
}

#[cfg(test)]
mod tests {
    use super::sampling;
    use crate::arguments::{Cli, Command};
    use clap::Parser;

    #[test]
    fn numbers_out_of_range_are_named() {
        for (flag, value) in [("--temperature", "-1"), ("--temperature", "NaN"), ("--top-p", "0"), ("--top-p", "1.5"), ("--top-k", "0")] {
            let argument = format!("{flag}={value}");
            let cli = Cli::try_parse_from(["temper", "generate", "--model", "m", "--prompt", "p", &argument]).expect("parses");
            let Command::Generate(arguments) = cli.command else { panic!("not generate") };
            assert!(sampling(&arguments).expect_err(&argument).message.starts_with(flag), "{argument}");
        }
    }
}
