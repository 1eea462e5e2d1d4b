//! `spec.evaluation`.

use super::findings::Findings;
use temper_contract::config;
use temper_crds::FineTuneJobSpec;
use temper_crds::finetunejob::evaluation::EvaluationMetric;

pub(super) fn resolve(spec: &FineTuneJobSpec, findings: &mut Findings) -> config::Evaluation {
    let evaluation = &spec.evaluation;
    findings.whole_if(evaluation.eval_steps, 1..=1_000_000_000, "spec.evaluation.evalSteps");
    findings.whole_if(evaluation.early_stopping_patience, 1..=1000, "spec.evaluation.earlyStoppingPatience");
    findings.whole(evaluation.per_device_eval_batch_size, 1..=4096, "spec.evaluation.perDeviceEvalBatchSize");
    if let Some(index) = evaluation.metrics.iter().position(|metric| *metric == EvaluationMetric::Bleu) {
        findings.not_supported(&format!("spec.evaluation.metrics[{index}]"), "bleu", "remove it; perplexity is measured");
    }
    if spec.dataset.validation.is_none() {
        for (field, set) in [("evalSteps", evaluation.eval_steps), ("earlyStoppingPatience", evaluation.early_stopping_patience)] {
            if let Some(number) = set {
                findings.wrong(
                    &format!("spec.evaluation.{field}"),
                    number,
                    "needs held-out rows",
                    "set dataset.validation, or remove the field",
                );
            }
        }
    }
    if let (Some(patience), None) = (evaluation.early_stopping_patience, evaluation.eval_steps) {
        findings.wrong(
            "spec.evaluation.earlyStoppingPatience",
            patience,
            "counts evaluations, and there are none in between",
            "set evalSteps",
        );
    }
    config::Evaluation {
        eval_steps: evaluation.eval_steps.map(u64::from),
        per_device_eval_batch_size: evaluation.per_device_eval_batch_size as usize,
        early_stopping_patience: evaluation.early_stopping_patience.map(u64::from),
    }
}
