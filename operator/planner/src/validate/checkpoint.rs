//! `spec.checkpoint`.

use super::findings::Findings;
use super::location::{secret, target};
use crate::validated::Location;
use temper_contract::config;
use temper_crds::finetunejob::checkpoint::Checkpoint;

pub(super) fn resolve(checkpoint: &Checkpoint, findings: &mut Findings) -> (Option<Location>, config::Checkpoint) {
    findings.whole(checkpoint.save_steps, 1..=1_000_000_000, "spec.checkpoint.saveSteps");
    findings.whole(checkpoint.save_total_limit, 1..=1000, "spec.checkpoint.saveTotalLimit");
    let secret = secret(checkpoint.secret_ref.as_ref(), "spec.checkpoint.secretRef", findings);
    let location = target(checkpoint.storage_uri.as_ref(), secret, "spec.checkpoint.storageUri", findings);
    let save_steps = Some(checkpoint.save_steps.into());
    (location, config::Checkpoint { save_steps, save_total_limit: checkpoint.save_total_limit as usize, mirror: None })
}
