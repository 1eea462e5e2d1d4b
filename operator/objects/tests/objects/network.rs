//! Who reaches whom: every pair of pods of two jobs, the operator, Prometheus and strangers, and addresses outside.

use crate::example::{self, Example};
use std::collections::{BTreeMap, BTreeSet};
use temper_objects::{Object, ports};
use temper_policy::network::{End, Network, Pod, Port};

const OUTSIDE: &str = "an address outside";

/// The jobs' namespace and others, with the policies of these jobs.
struct Cluster {
    network: Network,
    ends: BTreeMap<String, End>,
}

impl Cluster {
    fn with(jobs: &[&Example]) -> Self {
        let names = ["ml", "other", "temper-system", "monitoring", "kube-system"];
        let network = names.iter().fold(Network::default(), |network, name| network.namespace(name, &[]));
        let mut cluster = Self { network, ends: BTreeMap::new() };
        for job in jobs {
            cluster.admit(job);
        }
        cluster.add("operator", "temper-system", &[("app.kubernetes.io/name", "temper")]);
        cluster.add("its neighbour", "temper-system", &[("app", "other")]);
        cluster.add("prometheus", "monitoring", &[("app.kubernetes.io/name", "prometheus")]);
        cluster.add("dns", "kube-system", &[("k8s-app", "kube-dns")]);
        cluster.add("stranger", "ml", &[("app", "web")]);
        cluster.add("far stranger", "other", &[("app", "web")]);
        // Who takes the operator's name in another namespace is not the operator.
        cluster.add("impostor", "other", &[("app.kubernetes.io/name", "temper")]);
        cluster.ends.insert(OUTSIDE.to_owned(), End::Outside([192, 0, 2, 1].into()));
        cluster
    }

    /// A job's policies and pods: two of each stage, as the Job controller would make them.
    fn admit(&mut self, example: &Example) {
        for object in example.objects() {
            match &object {
                Object::NetworkPolicy(policy) => self.network = self.network.clone().policy((**policy).clone()),
                Object::Job(job) => {
                    let template = job.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
                    let labels = template.and_then(|metadata| metadata.labels.clone()).expect("pods have labels");
                    for node in 0..2 {
                        let name = format!("{}-{node}", object.name());
                        let pod = Pod { namespace: "ml".to_owned(), name: name.clone(), labels: labels.clone(), ..Pod::default() };
                        self.ends.insert(name, End::Pod(pod));
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&mut self, name: &str, namespace: &str, labels: &[(&str, &str)]) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let pod = Pod { namespace: namespace.to_owned(), name: name.to_owned(), labels, ..Pod::default() };
        self.ends.insert(name.to_owned(), End::Pod(pod));
    }

    /// Every pair of which the first may connect to the second.
    fn pairs(&self, port: Port) -> BTreeSet<(&str, &str)> {
        let ends = || self.ends.iter().map(|(name, end)| (name.as_str(), end));
        let pairs = ends().flat_map(|from| ends().map(move |to| (from, to))).filter(|(from, to)| from.0 != to.0);
        let allowed = pairs.filter(|((_, from), (_, to))| self.network.may_connect(from, to, port));
        allowed.map(|((from, _), (to, _))| (from, to)).collect()
    }

    fn may_connect(&self, from: &str, to: &str, port: Port) -> bool {
        self.network.may_connect(&self.ends[from], &self.ends[to], port)
    }
}

/// Which job's pod, of which stage, a name is.
fn role(name: &str) -> Option<(&str, &str)> {
    let job = ["listings-lora", "tiny"].into_iter().find(|job| name.starts_with(&format!("{job}-")))?;
    let rest = &name[job.len() + 1..];
    Some((job, rest.split('-').next().filter(|stage| matches!(*stage, "prepare" | "publish")).unwrap_or("train")))
}

fn trains(name: &str) -> bool {
    role(name).is_some_and(|(_, stage)| stage == "train")
}

/// What should be so, said once more in other words.
fn should(from: &str, to: &str, is_dns: bool, is_metrics: bool) -> bool {
    let leave_to_go = match role(from) {
        Some((job, "train")) => is_dns || role(to) == Some((job, "train")),
        Some(_) | None => true,
    };
    let leave_to_come = match role(to) {
        Some((job, "train")) => role(from) == Some((job, "train")) || (is_metrics && matches!(from, "operator" | "prometheus")),
        Some(_) => false,
        None => true,
    };
    leave_to_go && leave_to_come
}

#[test]
fn every_pair_is_as_it_should_be() {
    let (large, small) = (example::large(), example::small());
    let cluster = Cluster::with(&[&large, &small]);
    assert_eq!(cluster.ends.len(), 2 * 2 * 6 + 8);
    // 32 ranks of one job serve 32 ports of metrics, the single rank of the other one port.
    for (port, is_dns, is_metrics) in [
        (Port::tcp(ports::RENDEZVOUS), false, false),
        (Port::tcp(ports::METRICS), false, true),
        (Port::tcp(41234), false, false),
        (Port::udp(ports::METRICS), false, false),
        (Port::udp(53), true, false),
        (Port::tcp(53), true, false),
        // Where OpenShift's DNS pods listen.
        (Port::udp(5353), true, false),
        (Port::tcp(5353), true, false),
        (Port::tcp(443), false, false),
    ] {
        let found = cluster.pairs(port);
        for from in cluster.ends.keys() {
            for to in cluster.ends.keys().filter(|to| *to != from) {
                let wanted = should(from, to, is_dns, is_metrics);
                assert_eq!(found.contains(&(from.as_str(), to.as_str())), wanted, "{from} -> {to} on {port:?}");
            }
        }
    }
}

#[test]
fn metrics_are_read_on_the_ports_of_the_jobs_ranks_and_no_others() {
    let (large, small) = (example::large(), example::small());
    let cluster = Cluster::with(&[&large, &small]);
    let reads = |to, port| ["operator", "prometheus", "stranger"].map(|from| cluster.may_connect(from, to, Port::tcp(port)));
    assert_eq!(reads("listings-lora-a0-0", 9431), [true, true, false]);
    assert_eq!(reads("listings-lora-a0-0", 9432), [false; 3]);
    assert_eq!(reads("tiny-a0-0", 9400), [true, true, false]);
    assert_eq!(reads("tiny-a0-0", 9401), [false; 3]);
}

#[test]
fn trainers_go_outside_only_to_mirror_checkpoints() {
    let (large, remote) = (example::large(), example::remote());
    let goes_out = |example: &Example, pod: &str| Cluster::with(&[example]).may_connect(pod, OUTSIDE, Port::tcp(443));
    assert!(!goes_out(&large, "listings-lora-a0-0"));
    assert!(goes_out(&large, "listings-lora-prepare-0-0") && goes_out(&large, "listings-lora-publish-0-0"));
    assert!(goes_out(&remote, "tiny-a0-0"));
}

#[test]
fn without_scrapers_nobody_but_the_peers_reaches_a_trainer() {
    let example = example::small();
    let settings = temper_objects::Settings { operator_namespace: None, metrics_namespaces: Vec::new(), ..example::settings() };
    let objects = temper_objects::trainers(&example.job, &example.owner, &settings, 0, 1, 1, 0);
    let policy = objects.iter().find(|object| object.kind() == "NetworkPolicy").expect("there is one").to_value();
    let rules = policy["spec"]["ingress"].as_array().expect("rules");
    assert_eq!(rules.len(), 1, "{policy:#}");
    assert!(trains("tiny-a0-0") && rules[0]["from"][0]["podSelector"]["matchLabels"]["temper.dev/stage"] == "train", "{policy:#}");
}
