//! Whether machines have room for a job's pods, by the rules that the scheduler goes by: selector, taints, resources. Decides only.
//!
//! It only ever leads to a warning: a queue may be waiting for room, and an autoscaler may make it.

use crate::cluster::preview::report::Room;
use k8s_openapi::api::core::v1::{Node, Pod, PodSpec, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;
use temper_crds::Quantity as Amount;

/// Amounts of resources in thousandths.
type Amounts = BTreeMap<String, u64>;

/// A machine, and what is left of it.
#[derive(Clone, Debug)]
struct Machine {
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
    left: Amounts,
}

/// How many of `pods` pods like this find room. `running` is what runs anywhere, where it may be seen.
pub fn room(template: &PodSpec, pods: usize, nodes: &[Node], running: Option<&[Pod]>) -> Room {
    let requests = requests(template);
    let mut machines: Vec<Machine> = nodes.iter().map(|node| machine(node, running.unwrap_or_default())).collect();
    let mut placed = 0;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for machine in &mut machines {
        if let Some(reason) = keeps_away(machine, template) {
            *reasons.entry(reason).or_default() += 1;
            continue;
        }
        let before = placed;
        while placed < pods && lacks(machine, &requests).is_none() {
            placed += 1;
            take(&mut machine.left, &requests);
        }
        if placed == before
            && let Some(resource) = lacks(machine, &requests)
        {
            *reasons.entry(format!("not enough {resource}")).or_default() += 1;
        }
    }
    let mut reasons: Vec<(String, usize)> = reasons.into_iter().collect();
    reasons.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    Room { machines: nodes.len(), pods, placed, reasons, counts_running: running.is_some() }
}

/// Why no pod of this kind may go to a machine, whatever room it has.
fn keeps_away(machine: &Machine, pod: &PodSpec) -> Option<String> {
    let selector = pod.node_selector.iter().flatten();
    if let Some((label, value)) = selector.clone().find(|(label, value)| machine.labels.get(*label) != Some(value)) {
        return Some(format!("no label {label}={value}"));
    }
    let tolerations = pod.tolerations.as_deref().unwrap_or_default();
    let keeps = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    let taint = machine.taints.iter().filter(keeps).find(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))?;
    let value = taint.value.as_deref().filter(|value| !value.is_empty()).map(|value| format!("={value}")).unwrap_or_default();
    Some(format!("taint {}{value}", taint.key))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().is_none_or(|effect| effect.is_empty() || effect == taint.effect);
    let exists = toleration.operator.as_deref() == Some("Exists");
    let key = match toleration.key.as_deref() {
        None | Some("") => exists,
        Some(key) => key == taint.key,
    };
    let value = exists || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    effect && key && value
}

/// A machine, less what runs on it.
fn machine(node: &Node, running: &[Pod]) -> Machine {
    let name = node.metadata.name.as_deref();
    let status = node.status.clone().unwrap_or_default();
    let spec = node.spec.clone().unwrap_or_default();
    let mut left = amounts(status.allocatable.iter().flatten());
    let here = running.iter().filter(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == name && !matches!(phase, Some("Succeeded" | "Failed"))
    });
    here.filter_map(|pod| pod.spec.as_ref()).for_each(|spec| take(&mut left, &requests(spec)));
    Machine { labels: node.metadata.labels.clone().unwrap_or_default(), taints: spec.taints.unwrap_or_default(), left }
}

/// What a pod is promised, itself included: machines take only so many pods.
fn requests(pod: &PodSpec) -> Amounts {
    let mut sum = Amounts::from([("pods".to_owned(), 1000)]);
    for container in &pod.containers {
        let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        for (name, amount) in amounts(requests.into_iter().flatten()) {
            let total = sum.entry(name).or_default();
            *total = total.saturating_add(amount);
        }
    }
    sum
}

fn amounts<'a>(quantities: impl Iterator<Item = (&'a String, &'a Quantity)>) -> Amounts {
    quantities.map(|(name, quantity)| (name.clone(), Amount::from(quantity.0.as_str()).thousandths().unwrap_or(0))).collect()
}

/// The resource that is short, an accelerator before all.
fn lacks<'a>(machine: &Machine, requests: &'a Amounts) -> Option<&'a str> {
    let short = requests.iter().filter(|(name, amount)| **amount > machine.left.get(*name).copied().unwrap_or(0));
    short.map(|(name, _)| name.as_str()).max_by_key(|name| name.contains('/'))
}

fn take(left: &mut Amounts, requests: &Amounts) {
    for (name, amount) in requests {
        if let Some(left) = left.get_mut(name) {
            *left = left.saturating_sub(*amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::room;
    use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
    use serde_json::{Value, json};

    fn node(name: &str, gpus: &str, more: &Value) -> Node {
        let mut node = json!({
            "metadata": { "name": name, "labels": { "kind": "gpu" } },
            "spec": {},
            "status": { "allocatable": { "cpu": "16", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": gpus } },
        });
        more.as_object().into_iter().flatten().for_each(|(field, value)| node[field] = value.clone());
        serde_json::from_value(node).expect("a node")
    }

    fn template(more: &Value) -> PodSpec {
        let mut pod = json!({
            "containers": [{ "name": "trainer", "resources": { "requests": { "cpu": "4", "nvidia.com/gpu": "4" } } }],
            "nodeSelector": { "kind": "gpu" },
        });
        more.as_object().into_iter().flatten().for_each(|(field, value)| pod[field] = value.clone());
        serde_json::from_value(pod).expect("a pod")
    }

    fn running(node: &str, gpus: &str, phase: &str) -> Pod {
        serde_json::from_value(json!({
            "spec": { "nodeName": node, "containers": [{ "name": "c", "resources": { "requests": { "nvidia.com/gpu": gpus } } }] },
            "status": { "phase": phase },
        }))
        .expect("a pod")
    }

    #[test]
    fn pods_are_placed_while_there_is_room() {
        let nodes = [node("a", "8", &json!({})), node("b", "4", &json!({}))];
        let found = room(&template(&json!({})), 4, &nodes, Some(&[]));
        assert_eq!((found.machines, found.pods, found.placed), (2, 4, 3));
        let busy = [running("a", "6", "Running"), running("b", "4", "Succeeded")];
        let found = room(&template(&json!({})), 4, &nodes, Some(&busy));
        assert_eq!((found.placed, found.reasons), (1, vec![("not enough nvidia.com/gpu".to_owned(), 1)]));
    }

    #[test]
    fn labels_and_taints_keep_pods_away() {
        let cpu = node("a", "0", &json!({ "metadata": { "name": "a", "labels": {} } }));
        let taint = json!({ "taints": [{ "key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule" }, { "key": "soft", "effect": "PreferNoSchedule" }] });
        let tainted = node("b", "8", &json!({ "spec": taint }));
        let nodes = [cpu, tainted];
        let found = room(&template(&json!({})), 1, &nodes, None);
        assert_eq!(found.placed, 0);
        let reasons: Vec<&str> = found.reasons.iter().map(|(reason, _)| reason.as_str()).collect();
        assert_eq!(reasons, ["no label kind=gpu", "taint nvidia.com/gpu=present"]);
        let tolerations = [
            json!({ "key": "nvidia.com/gpu", "operator": "Exists" }),
            json!({ "key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule" }),
            json!({ "operator": "Exists" }),
        ];
        for toleration in tolerations {
            assert_eq!(room(&template(&json!({ "tolerations": [toleration] })), 1, &nodes, None).placed, 1, "{toleration}");
        }
        let wrong = json!({ "key": "nvidia.com/gpu", "value": "absent", "effect": "NoSchedule" });
        assert_eq!(room(&template(&json!({ "tolerations": [wrong] })), 1, &nodes, None).placed, 0);
    }

    #[test]
    fn a_machine_takes_only_so_many_pods() {
        let full = node("a", "8", &json!({ "status": { "allocatable": { "cpu": "16", "pods": "1", "nvidia.com/gpu": "8" } } }));
        assert_eq!(room(&template(&json!({})), 2, &[full], None).placed, 1);
    }
}
