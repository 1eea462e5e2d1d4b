//! Whether a connection is allowed, as the NetworkPolicy API defines it.
//!
//! A pod that no policy selects for a direction may do anything in it; one that some select may do what any of them allows. A connection
//! needs the leave of both ends.

use crate::selector::matches;
use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The label in which Kubernetes keeps a namespace's name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A pod.
    Pod(Pod),
    /// An address that is no pod's.
    Outside(IpAddr),
}

/// What matters of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace, which the network must know.
    pub namespace: String,
    /// Its name, for messages.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// The ports that it names.
    pub named_ports: BTreeMap<String, Port>,
    /// Its address, where blocks of addresses matter.
    pub address: Option<IpAddr>,
}

/// A port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The protocol.
    pub protocol: Protocol,
    /// The number.
    pub number: u16,
}

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Port {
    /// A TCP port.
    pub const fn tcp(number: u16) -> Self {
        Self { protocol: Protocol::Tcp, number }
    }

    /// A UDP port.
    pub const fn udp(number: u16) -> Self {
        Self { protocol: Protocol::Udp, number }
    }
}

/// Namespaces, and all policies in them.
#[derive(Clone, Debug, Default)]
pub struct Network {
    namespaces: BTreeMap<String, Labels>,
    policies: Vec<NetworkPolicy>,
}

#[derive(Clone, Copy)]
enum Direction {
    Ingress,
    Egress,
}

/// Whom a rule allows, and on which ports; none of either means all.
struct Rule<'a> {
    peers: &'a [NetworkPolicyPeer],
    ports: &'a [NetworkPolicyPort],
}

impl Network {
    /// Adds a namespace. The label with its name comes by itself, as from the API server.
    pub fn namespace(mut self, name: &str, labels: &[(&str, &str)]) -> Self {
        let own = [(NAMESPACE_NAME, name)];
        let labels = labels.iter().chain(&own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.namespaces.insert(name.to_owned(), labels.collect());
        self
    }

    /// Adds a policy. One in a namespace that is not known is a mistake in the test.
    pub fn policy(mut self, policy: NetworkPolicy) -> Self {
        let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
        assert!(self.namespaces.contains_key(namespace), "policy {:?} is in {namespace:?}, which is not known", policy.metadata.name);
        self.policies.push(policy);
        self
    }

    /// Whether `from` may connect to a port of `to`.
    pub fn may_connect(&self, from: &End, to: &End, port: Port) -> bool {
        self.allows(Direction::Egress, from, to, to, port) && self.allows(Direction::Ingress, to, from, to, port)
    }

    /// Whether the policies of one end let it talk to the other in this direction.
    fn allows(&self, direction: Direction, own: &End, other: &End, destination: &End, port: Port) -> bool {
        let End::Pod(pod) = own else { return true };
        assert!(self.namespaces.contains_key(&pod.namespace), "pod {} is in {:?}, which is not known", pod.name, pod.namespace);
        let selecting: Vec<&NetworkPolicy> = self.policies.iter().filter(|policy| selects(policy, pod, direction)).collect();
        let is_allowed = |policy: &&NetworkPolicy| {
            rules(policy, direction).iter().any(|rule| {
                (rule.peers.is_empty() || rule.peers.iter().any(|peer| self.is_peer(peer, policy, other)))
                    && (rule.ports.is_empty() || rule.ports.iter().any(|allowed| is_port(allowed, destination, port)))
            })
        };
        selecting.is_empty() || selecting.iter().any(is_allowed)
    }

    fn is_peer(&self, peer: &NetworkPolicyPeer, policy: &NetworkPolicy, end: &End) -> bool {
        if let Some(block) = &peer.ip_block {
            return match end {
                End::Pod(pod) => pod.address.is_some_and(|address| is_in(block, address)),
                End::Outside(address) => is_in(block, *address),
            };
        }
        let End::Pod(pod) = end else { return false };
        let in_namespace = match &peer.namespace_selector {
            Some(selector) => self.namespaces.get(&pod.namespace).is_some_and(|labels| matches(selector, labels)),
            None => policy.metadata.namespace.as_deref() == Some(&pod.namespace),
        };
        in_namespace && peer.pod_selector.as_ref().is_none_or(|selector| matches(selector, &pod.labels))
    }
}

/// Whether a policy is about a pod, in a direction.
fn selects(policy: &NetworkPolicy, pod: &Pod, direction: Direction) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let is_about = match (&spec.policy_types, direction) {
        (Some(types), Direction::Ingress) => types.iter().any(|name| name == "Ingress"),
        (Some(types), Direction::Egress) => types.iter().any(|name| name == "Egress"),
        (None, Direction::Ingress) => true,
        (None, Direction::Egress) => spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
    };
    is_about
        && policy.metadata.namespace.as_deref() == Some(&pod.namespace)
        && spec.pod_selector.as_ref().is_none_or(|selector| matches(selector, &pod.labels))
}

fn rules(policy: &NetworkPolicy, direction: Direction) -> Vec<Rule<'_>> {
    let Some(spec) = &policy.spec else { return Vec::new() };
    match direction {
        Direction::Ingress => {
            let rules = spec.ingress.iter().flatten();
            rules.map(|rule| Rule { peers: all(rule.from.as_ref()), ports: all(rule.ports.as_ref()) }).collect()
        }
        Direction::Egress => {
            let rules = spec.egress.iter().flatten();
            rules.map(|rule| Rule { peers: all(rule.to.as_ref()), ports: all(rule.ports.as_ref()) }).collect()
        }
    }
}

fn all<T>(list: Option<&Vec<T>>) -> &[T] {
    list.map_or(&[], Vec::as_slice)
}

fn is_port(allowed: &NetworkPolicyPort, destination: &End, port: Port) -> bool {
    let protocol = match allowed.protocol.as_deref() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(protocol) => panic!("{protocol} is no protocol"),
    };
    let is_number = match (&allowed.port, allowed.end_port) {
        (None, _) => true,
        (Some(IntOrString::Int(first)), last) => (*first..=last.unwrap_or(*first)).contains(&i32::from(port.number)),
        (Some(IntOrString::String(name)), _) => match destination {
            End::Pod(pod) => pod.named_ports.get(name) == Some(&port),
            End::Outside(_) => false,
        },
    };
    protocol == port.protocol && is_number
}

fn is_in(block: &IPBlock, address: IpAddr) -> bool {
    let contains = |cidr: &str| cidr.parse::<IpNet>().unwrap_or_else(|error| panic!("{cidr}: {error}")).contains(&address);
    contains(&block.cidr) && !block.except.iter().flatten().any(|cidr| contains(cidr))
}

#[cfg(test)]
mod tests;
