//! Who may talk to a job's pods, and whom they may talk to: everything else is denied, both ways.
//!
//! Ranks trust each other: what they exchange is neither encrypted nor signed, so nobody else may reach their ports. They know each other
//! from the start and read everything from volumes, so they need nobody else but the cluster's DNS, unless checkpoints are mirrored to an
//! object store. Pods that fetch and upload go wherever the spec's URIs lead, inside the cluster or out of it, and are reached by nobody.

use crate::metadata::{metadata, of_job, one_of, pods_of, training_pods};
use crate::names;
use crate::owner::Owner;
use crate::ports;
use crate::settings::Settings;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use temper_planner::Stage;

/// Kubernetes' own label with a namespace's name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// The label, and its value, of the operator's pods.
const OPERATOR: (&str, &str) = ("app.kubernetes.io/name", "temper");
/// The ports that names are resolved on. Policies see a connection after the Service's port was replaced by the pod's, and OpenShift's DNS
/// pods listen on 5353.
const DNS: [u16; 2] = [53, 5353];

/// The policy of the training pods. `mirrors` says whether they copy checkpoints to an object store.
pub(crate) fn of_ranks(owner: &Owner, settings: &Settings, world_size: usize, mirrors: bool) -> NetworkPolicy {
    let peers = || Some(vec![NetworkPolicyPeer { pod_selector: Some(training_pods(&owner.name)), ..NetworkPolicyPeer::default() }]);
    let mut ingress = vec![NetworkPolicyIngressRule { from: peers(), ports: None }];
    let scrapers = scrapers(settings);
    if !scrapers.is_empty() {
        let metrics = ports::metrics(world_size);
        let ports = port("TCP", *metrics.start(), Some(*metrics.end()).filter(|end| end != metrics.start()));
        ingress.push(NetworkPolicyIngressRule { from: Some(scrapers), ports: Some(vec![ports]) });
    }
    let egress = if mirrors {
        vec![anywhere()]
    } else {
        let dns = DNS.iter().flat_map(|number| ["UDP", "TCP"].map(|protocol| port(protocol, *number, None)));
        vec![NetworkPolicyEgressRule { to: peers(), ports: None }, NetworkPolicyEgressRule { to: None, ports: Some(dns.collect()) }]
    };
    policy(owner, names::ranks_policy(&owner.name), training_pods(&owner.name), ingress, egress)
}

/// The policy of the pods that fetch and upload.
pub(crate) fn of_transfer(owner: &Owner) -> NetworkPolicy {
    let pods = pods_of(&owner.name, &[Stage::Prepare, Stage::Publish]);
    policy(owner, names::transfer_policy(&owner.name), pods, Vec::new(), vec![anywhere()])
}

fn policy(
    owner: &Owner,
    name: String,
    pods: LabelSelector,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata(owner, name, of_job(&owner.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress).filter(|rules| !rules.is_empty()),
            egress: Some(egress),
        }),
    }
}

/// Who may read the ranks' metrics.
fn scrapers(settings: &Settings) -> Vec<NetworkPolicyPeer> {
    let operator = settings.operator_namespace.as_ref().map(|namespace| NetworkPolicyPeer {
        namespace_selector: Some(namespaces([namespace.clone()])),
        pod_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(OPERATOR.0.to_owned(), OPERATOR.1.to_owned())])),
            match_expressions: None,
        }),
        ip_block: None,
    });
    let monitoring = Some(&settings.metrics_namespaces)
        .filter(|names| !names.is_empty())
        .map(|names| NetworkPolicyPeer { namespace_selector: Some(namespaces(names.iter().cloned())), ..NetworkPolicyPeer::default() });
    operator.into_iter().chain(monitoring).collect()
}

fn namespaces(names: impl IntoIterator<Item = String>) -> LabelSelector {
    LabelSelector { match_labels: None, match_expressions: Some(vec![one_of(NAMESPACE_NAME, names)]) }
}

/// A rule without peers and ports: every address.
fn anywhere() -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule::default()
}

fn port(protocol: &str, first: u16, last: Option<u16>) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some(protocol.to_owned()), port: Some(IntOrString::Int(first.into())), end_port: last.map(i32::from) }
}
