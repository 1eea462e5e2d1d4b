//! `spec.output`.

use super::findings::Findings;
use super::location::{secret, target};
use crate::storage_uri::is_object_name;
use crate::validated::{Location, Register};
use temper_contract::config;
use temper_crds::FineTuneJobSpec;
use temper_crds::finetunejob::method::MethodType;

/// The longest model name: names of what serves it are made from it.
const LONGEST_MODEL_NAME: usize = 52;

/// What `spec.output` says.
pub(super) struct Resolved {
    pub(super) location: Option<Location>,
    pub(super) output: config::Output,
    pub(super) register: Option<Register>,
}

pub(super) fn resolve(spec: &FineTuneJobSpec, findings: &mut Findings) -> Resolved {
    let output = &spec.output;
    if output.merge_adapter && spec.method.type_ != MethodType::Lora {
        findings.wrong(
            "spec.output.mergeAdapter",
            true,
            "there is no adapter to merge in full fine-tuning",
            "set it to false, or set method.type: lora",
        );
    }
    let secret = secret(output.secret_ref.as_ref(), "spec.output.secretRef", findings);
    if let Some(register) = &output.register {
        let name = &register.model_name;
        if !is_object_name(name) || name.contains('.') || name.len() > LONGEST_MODEL_NAME {
            let reason = format!("must be a DNS-1123 label of at most {LONGEST_MODEL_NAME} characters");
            findings.wrong(
                "spec.output.register.modelName",
                name,
                reason,
                "use lower-case letters, digits and '-', a letter or digit first and last",
            );
        }
    }
    Resolved {
        location: target(output.storage_uri.as_ref(), secret, "spec.output.storageUri", findings),
        output: config::Output { merge_adapter: output.merge_adapter, upload: None },
        register: output.register.as_ref().map(|register| Register { model_name: register.model_name.clone(), stage: register.stage }),
    }
}
