//! What a pod's end means for its Job: any failure ends the try, and the rule that matched says in the Job's condition what it was.
//!
//! A try is never repeated by the Job controller: the operator judges it by its first failed pod and starts the next one, under its own
//! number, with the budget that `failurePolicy.maxRestarts` leaves.

use crate::names;
use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use temper_contract::ExitCode;

/// The rules, of which the first that matches counts.
pub(crate) fn pod_failure_policy() -> PodFailurePolicy {
    let hopeless = ExitCode::ALL.into_iter().filter(|code| !code.is_retryable() && *code != ExitCode::Success);
    PodFailurePolicy {
        rules: vec![
            // Preempted, drained, evicted, or the machine was lost.
            fail(None, Some(disrupted())),
            // The spec, the model or the data is wrong, training diverged, or the ranks have used up their restarts.
            fail(Some(exit_codes("In", hopeless)), None),
            // Something that the spec names is not there yet.
            fail(Some(exit_codes("In", [ExitCode::Unavailable])), None),
            // Everything else: another try may succeed.
            fail(Some(exit_codes("NotIn", [ExitCode::Success])), None),
        ],
    }
}

fn fail(
    on_exit_codes: Option<PodFailurePolicyOnExitCodesRequirement>,
    on_pod_conditions: Option<Vec<PodFailurePolicyOnPodConditionsPattern>>,
) -> PodFailurePolicyRule {
    PodFailurePolicyRule { action: "FailJob".to_owned(), on_exit_codes, on_pod_conditions }
}

fn disrupted() -> Vec<PodFailurePolicyOnPodConditionsPattern> {
    vec![PodFailurePolicyOnPodConditionsPattern { type_: "DisruptionTarget".to_owned(), status: "True".to_owned() }]
}

/// The API wants the codes in ascending order.
fn exit_codes(operator: &str, codes: impl IntoIterator<Item = ExitCode>) -> PodFailurePolicyOnExitCodesRequirement {
    let mut values: Vec<i32> = codes.into_iter().map(|code| code.code().into()).collect();
    values.sort_unstable();
    PodFailurePolicyOnExitCodesRequirement { container_name: Some(names::CONTAINER.to_owned()), operator: operator.to_owned(), values }
}
