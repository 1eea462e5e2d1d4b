//! `spec.dataset`.

use super::filters;
use super::findings::Findings;
use super::location::{location, secret};
use crate::validated::{Location, Preparation};
use temper_contract::config::{self, ChatTemplate};
use temper_crds::finetunejob::dataset::{Dataset, DatasetFormat, ExcessLengthStrategy, TOKENIZER_DEFAULT, Validation};

/// What `spec.dataset` says.
pub(super) struct Resolved {
    pub(super) location: Location,
    pub(super) validation: Option<Location>,
    pub(super) preparation: Preparation,
}

pub(super) fn resolve(dataset: &Dataset, findings: &mut Findings) -> Resolved {
    findings.whole(dataset.max_length, 8..=1_048_576, "spec.dataset.maxLength");
    let secret = secret(dataset.secret_ref.as_ref(), "spec.dataset.secretRef", findings);
    let (validation_split, validation) = match &dataset.validation {
        Some(validation) => held_out(validation, secret.clone(), findings),
        None => (None, None),
    };
    Resolved {
        location: location(&dataset.storage_uri, secret, "spec.dataset.storageUri", findings),
        validation,
        preparation: Preparation {
            format: match dataset.format {
                DatasetFormat::Text => config::DatasetFormat::Text,
                DatasetFormat::PromptCompletion => config::DatasetFormat::PromptCompletion,
                DatasetFormat::Messages => config::DatasetFormat::Messages,
                DatasetFormat::Alpaca => config::DatasetFormat::Alpaca,
            },
            validation_split,
            chat_template: chat_template(&dataset.chat_template, findings),
            max_length: dataset.max_length as usize,
            excess_length_strategy: match dataset.excess_length_strategy {
                ExcessLengthStrategy::Truncate => config::ExcessLengthStrategy::Truncate,
                ExcessLengthStrategy::Drop => config::ExcessLengthStrategy::Drop,
                ExcessLengthStrategy::Fail => config::ExcessLengthStrategy::Fail,
            },
            packing: dataset.packing,
            filters: filters::resolve(&dataset.filters, findings),
        },
    }
}

fn held_out(validation: &Validation, secret: Option<String>, findings: &mut Findings) -> (Option<f64>, Option<Location>) {
    const PATH: &str = "spec.dataset.validation";
    match (&validation.split, &validation.storage_uri) {
        (Some(split), None) => {
            let number = findings.decimal(split, "spec.dataset.validation.split", "between 0 and 1", |number| number > 0.0 && number < 1.0);
            (Some(number), None)
        }
        (None, Some(uri)) => (None, Some(location(uri, secret, "spec.dataset.validation.storageUri", findings))),
        (Some(_), Some(_)) => {
            findings.wrong(PATH, "", "has both split and storageUri", "keep one of them");
            (None, None)
        }
        (None, None) => {
            findings.wrong(PATH, "", "has neither split nor storageUri", "add split: \"0.05\", or remove validation");
            (None, None)
        }
    }
}

fn chat_template(text: &str, findings: &mut Findings) -> ChatTemplate {
    const PATH: &str = "spec.dataset.chatTemplate";
    if text == TOKENIZER_DEFAULT {
        return ChatTemplate::TokenizerDefault;
    }
    if text.trim().is_empty() {
        findings.wrong(PATH, "", "is empty", format!("write {TOKENIZER_DEFAULT} or a Jinja template"));
    } else if !text.contains("{{") && !text.contains("{%") {
        findings.wrong(
            PATH,
            text,
            "is no Jinja template: it has neither {{ }} nor {% %}",
            format!("write {TOKENIZER_DEFAULT} or a template"),
        );
    }
    ChatTemplate::Inline(text.to_owned())
}
