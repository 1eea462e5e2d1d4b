//! The fields that say how long a job may run, fail, be held and cost.

use super::findings::Findings;
use temper_crds::FineTuneJobSpec;

const A_YEAR: u32 = 31_536_000;

pub(super) fn check(spec: &FineTuneJobSpec, findings: &mut Findings) {
    if spec.suspend && findings.is_local() {
        findings.wrong(
            "spec.suspend",
            true,
            "a local run is not held by its manifest",
            "set it to false; Ctrl-C stops a run with a checkpoint",
        );
    }
    findings.whole_if(spec.active_deadline_seconds, 1..=A_YEAR, "spec.activeDeadlineSeconds");
    findings.whole_if(spec.ttl_seconds_after_finished, 0..=A_YEAR, "spec.ttlSecondsAfterFinished");
    findings.whole(spec.failure_policy.max_restarts, 0..=1000, "spec.failurePolicy.maxRestarts");
    findings.whole(spec.failure_policy.stall_timeout_seconds, 10..=86_400, "spec.failurePolicy.stallTimeoutSeconds");
    if let Some(tracking) = &spec.tracking {
        let names = [tracking.wandb.as_ref().map(|_| "wandb"), tracking.mlflow.as_ref().map(|_| "mlflow")];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        findings.not_supported("spec.tracking", names.join(", "), "remove it; the trainer's metrics are in steps.jsonl and on /metrics");
    }
    findings.not_supported_if(spec.cost.as_ref(), "spec.cost.maxCost", |cost| cost.max_cost.to_string());
}
