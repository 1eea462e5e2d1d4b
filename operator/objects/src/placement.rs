//! Which machines pods go to, and how fast they leave a lost one.

use crate::metadata::of_try;
use k8s_openapi::api::core::v1::{Affinity, PodAffinity, PodAffinityTerm, Toleration, WeightedPodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use temper_crds::finetunejob::trainer::{TaintEffect, Toleration as Tolerated};
use temper_planner::Stage;

/// Pods on a machine that is silent are given up after so many seconds: the other ranks wait for them. (Kubernetes' own 300 are for
/// services that have replicas elsewhere.)
const LOST_AFTER_SECONDS: i64 = 10;
/// The taints of such a machine.
const LOST: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
/// Machines with an equal label are near each other.
const NEAR: &str = "topology.kubernetes.io/zone";

/// The user's tolerations, and those of a machine that is lost, unless the user has said something about that.
pub(crate) fn tolerations(user: &[Tolerated]) -> Vec<Toleration> {
    let says = |taint: &str| {
        user.iter()
            .any(|toleration| toleration.key.as_deref() == Some(taint) && matches!(toleration.effect, None | Some(TaintEffect::NoExecute)))
    };
    let lost = LOST.into_iter().filter(|taint| !says(taint)).map(|taint| Toleration {
        key: Some(taint.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(LOST_AFTER_SECONDS),
        value: None,
    });
    user.iter().map(toleration).chain(lost).collect()
}

fn toleration(user: &Tolerated) -> Toleration {
    Toleration {
        key: user.key.clone(),
        operator: user.operator.map(|operator| format!("{operator:?}")),
        value: user.value.clone(),
        effect: user.effect.map(|effect| format!("{effect:?}")),
        toleration_seconds: user.toleration_seconds.map(i64::from),
    }
}

/// Prefers that an attempt's nodes are in one zone: gradients cross the network at every step. Only a preference, because a job that runs
/// slower is better than one that waits; a queue that knows the network's topology has the last word.
pub(crate) fn near_each_other(job: &str, attempt: u64) -> Affinity {
    let selector = LabelSelector { match_labels: Some(of_try(job, Stage::Train, attempt)), match_expressions: None };
    let term = PodAffinityTerm { label_selector: Some(selector), topology_key: NEAR.to_owned(), ..PodAffinityTerm::default() };
    let preference = WeightedPodAffinityTerm { weight: 100, pod_affinity_term: term };
    let pod_affinity =
        PodAffinity { preferred_during_scheduling_ignored_during_execution: Some(vec![preference]), ..PodAffinity::default() };
    Affinity { pod_affinity: Some(pod_affinity), ..Affinity::default() }
}

#[cfg(test)]
mod tests {
    use super::{LOST, tolerations};
    use temper_crds::finetunejob::trainer::{TaintEffect, Toleration, TolerationOperator};

    fn exists(key: Option<&str>, effect: Option<TaintEffect>) -> Toleration {
        let operator = Some(TolerationOperator::Exists);
        Toleration { key: key.map(str::to_owned), operator, value: None, effect, toleration_seconds: None }
    }

    /// Keys of the tolerations, with their seconds.
    fn built(user: &[Toleration]) -> Vec<(Option<String>, Option<i64>)> {
        tolerations(user).into_iter().map(|toleration| (toleration.key, toleration.toleration_seconds)).collect()
    }

    #[test]
    fn a_lost_machine_is_left_soon_unless_the_user_says_otherwise() {
        let ours = LOST.map(|taint| (Some(taint.to_owned()), Some(10)));
        assert_eq!(built(&[]), ours);
        // Whoever tolerates every taint means those that keep pods away; of several tolerations the shortest counts.
        assert_eq!(built(&[exists(None, None)])[1..], ours);
        assert_eq!(built(&[exists(Some(LOST[0]), Some(TaintEffect::NoSchedule))])[1..], ours);
        assert_eq!(built(&[exists(Some(LOST[0]), None)]), [(Some(LOST[0].to_owned()), None), ours[1].clone()]);
        assert_eq!(built(&[exists(Some(LOST[1]), Some(TaintEffect::NoExecute))]), [(Some(LOST[1].to_owned()), None), ours[0].clone()]);
    }

    #[test]
    fn what_the_user_tolerates_is_handed_on_whole() {
        let user = Toleration {
            key: Some("dedicated".to_owned()),
            operator: Some(TolerationOperator::Equal),
            value: Some("training".to_owned()),
            effect: Some(TaintEffect::PreferNoSchedule),
            toleration_seconds: Some(5),
        };
        let built = serde_json::to_value(&tolerations(&[user])[0]).expect("plain data");
        let wanted = serde_json::json!({
            "key": "dedicated", "operator": "Equal", "value": "training", "effect": "PreferNoSchedule", "tolerationSeconds": 5,
        });
        assert_eq!(built, wanted);
    }
}
