//! A spec as the user wrote it becomes one that every later step can trust; every problem is reported, not only the first.
//!
//! The API server has checked the schema and the CEL rules already, a local run has had the schema checked by `parse_manifest`; what the
//! CEL rules say is checked here again, so that both refuse the same manifests. What the API has and this version does not carry out is
//! refused as `Problem::NOT_SUPPORTED`, never ignored.

mod checkpoint;
mod dataset;
mod evaluation;
mod filters;
mod findings;
mod hyperparameters;
mod location;
mod method;
mod output;
mod policies;
#[cfg(test)]
mod tests;
mod trainer;

use crate::capabilities::Capabilities;
use crate::problem::Problem;
use crate::validated::ValidatedFineTuneJob;
use findings::Findings;
use temper_crds::FineTuneJob;

/// The longest job name: names of pods made from it must fit in 63 characters.
pub(crate) const LONGEST_NAME: usize = 48;

/// Checks a job and resolves its defaults, or returns everything that is wrong with it.
pub fn validate(job: &FineTuneJob, capabilities: Capabilities) -> Result<ValidatedFineTuneJob, Vec<Problem>> {
    let spec = &job.spec;
    let mut findings = Findings::new(capabilities);
    let name = name(job, &mut findings);
    policies::check(spec, &mut findings);
    let base_model = location::base_model(&spec.base_model, &mut findings);
    let dataset = dataset::resolve(&spec.dataset, &mut findings);
    let method = method::resolve(&spec.method, &mut findings);
    let hyperparameters = hyperparameters::resolve(&spec.hyperparameters, &spec.method, &mut findings);
    let evaluation = evaluation::resolve(spec, &mut findings);
    let parallelism = trainer::resolve(&spec.trainer, &spec.hyperparameters, &mut findings);
    let (checkpoint_location, checkpoint) = checkpoint::resolve(&spec.checkpoint, &mut findings);
    let output = output::resolve(spec, &mut findings);
    let validated = ValidatedFineTuneJob {
        name,
        generation: job.metadata.generation,
        suspend: spec.suspend,
        base_model,
        dataset: dataset.location,
        validation: dataset.validation,
        preparation: dataset.preparation,
        method,
        hyperparameters,
        evaluation,
        parallelism,
        env: trainer::environment(&spec.trainer, &mut findings),
        placement: trainer::placement(job),
        checkpoint_location,
        checkpoint,
        max_restarts: spec.failure_policy.max_restarts.into(),
        stall_timeout_seconds: spec.failure_policy.stall_timeout_seconds.into(),
        active_deadline_seconds: spec.active_deadline_seconds.map(u64::from),
        ttl_seconds_after_finished: spec.ttl_seconds_after_finished.map(u64::from),
        output_location: output.location,
        output: output.output,
        register: output.register,
    };
    findings.result(validated)
}

fn name(job: &FineTuneJob, findings: &mut Findings) -> String {
    let name = job.metadata.name.clone().unwrap_or_default();
    let plain = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-';
    if name.is_empty() {
        findings.wrong("metadata.name", "", "is missing", "name the job");
    } else if name.len() > LONGEST_NAME {
        let reason = format!("has {} characters, may have {LONGEST_NAME}", name.len());
        findings.wrong("metadata.name", &name, reason, "shorten it: the names of the job's pods are made from it");
    } else if !name.chars().all(plain) || name.starts_with('-') || name.ends_with('-') {
        findings.wrong(
            "metadata.name",
            &name,
            "is not a DNS-1123 label",
            "use lower-case letters, digits and '-', a letter or digit first and last",
        );
    }
    name
}
