//! Who reaches the operator and whom it reaches: the chart's policy and a job's, evaluated over every pair of pods.

use crate::arguments::parsed;
use crate::modes::render;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use temper_chart_tests::{Manifest, repository};
use temper_crds::{FineTuneJob, Resource, parse_manifest};
use temper_objects::{Object, Owner};
use temper_operator::args::OperatorArgs;
use temper_operator::finetunejob::settings;
use temper_planner::{Capabilities, validate};
use temper_policy::network::{End, Labels, Network, Pod, Port};

const API_SERVER: &str = "the API server";
const METRICS: u16 = 9400;

/// The cluster: the operator as the chart makes it, a job in namespace `ml`, Prometheus, DNS and strangers.
pub(crate) struct Cluster {
    network: Network,
    ends: BTreeMap<&'static str, End>,
}

impl Cluster {
    pub(crate) fn new(values: &Value) -> Self {
        let manifests = render(values);
        let names = ["temper-system", "ml", "other", "monitoring", "kube-system", "openshift-dns"];
        let mut network = names.iter().fold(Network::default(), |network, name| network.namespace(name, &[]));
        for manifest in manifests.iter().filter(|manifest| manifest.kind() == "NetworkPolicy") {
            let policy: NetworkPolicy = serde_json::from_value(manifest.0.clone()).expect("a NetworkPolicy");
            network = network.policy(policy);
        }
        let mut ends =
            BTreeMap::from([(API_SERVER, End::Outside([10, 96, 0, 1].into())), ("the internet", End::Outside([192, 0, 2, 1].into()))]);
        let pod = |namespace: &str, name: &str, labels: Labels, port: Option<(&str, u16)>| {
            let named_ports = port.map(|(name, number)| (name.to_owned(), Port::tcp(number))).into_iter().collect();
            End::Pod(Pod { namespace: namespace.to_owned(), name: name.to_owned(), labels, named_ports, address: None })
        };
        let labels =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Labels>();
        let operator = serde_json::from_value(deployment(&manifests).at("/spec/template/metadata/labels").clone()).expect("labels");
        ends.insert("operator", pod("temper-system", "operator", operator, Some(("http", 8080))));
        ends.insert("its neighbour", pod("temper-system", "neighbour", labels(&[("app", "web")]), None));
        ends.insert("prometheus", pod("monitoring", "prometheus", labels(&[("app.kubernetes.io/name", "prometheus")]), None));
        ends.insert("dns", pod("kube-system", "dns", labels(&[("k8s-app", "kube-dns")]), None));
        let openshift = labels(&[("dns.operator.openshift.io/daemonset-dns", "default")]);
        ends.insert("OpenShift's dns", pod("openshift-dns", "dns", openshift, None));
        ends.insert("kube-system's other", pod("kube-system", "other", labels(&[("k8s-app", "other")]), None));
        ends.insert("stranger", pod("ml", "stranger", labels(&[("app", "web")]), None));
        ends.insert("far stranger", pod("other", "stranger", labels(&[("app", "web")]), None));
        for object in job(&parsed(deployment(&manifests))) {
            match object {
                Object::NetworkPolicy(policy) => network = network.policy(*policy),
                Object::Job(made) => {
                    let template = made.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
                    ends.insert("trainer", pod("ml", "trainer", template.and_then(|it| it.labels.clone()).expect("labels"), None));
                }
                _ => {}
            }
        }
        Self { network, ends }
    }

    pub(crate) fn reaches(&self, from: &str, to: &str, port: Port) -> bool {
        self.network.may_connect(&self.ends[from], &self.ends[to], port)
    }
}

pub(crate) fn deployment(manifests: &[Manifest]) -> &Manifest {
    manifests.iter().find(|manifest| manifest.kind() == "Deployment").expect("the operator")
}

/// What an operator with these arguments makes for the sample's training.
pub(crate) fn job(args: &OperatorArgs) -> Vec<Object> {
    let manifests = parse_manifest(&repository::read("deploy/samples/finetunejob.yaml").expect("a sample")).expect("a manifest");
    let Some(Resource::FineTuneJob(job)) = manifests.into_iter().next().map(|manifest| manifest.resource) else { panic!("a FineTuneJob") };
    let mut job: FineTuneJob = *job;
    job.metadata.namespace = Some("ml".to_owned());
    job.metadata.uid = Some("0b5e7ac4-5a0d-4f7e-9a34-6f2a7c1d9e55".to_owned());
    let owner = Owner::of(&job).expect("the API server has filled in the metadata");
    let validated = validate(&job, Capabilities::CLUSTER).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let namespace = args.cluster.operator_namespace.clone().expect("the chart says where the operator is");
    temper_objects::trainers(&validated, &owner, &settings(args, namespace), 0, 1, 2, 3)
}

/// Said once more in other words: who may reach whom.
fn should(from: &str, to: &str, port: Port) -> bool {
    let metrics = port == Port::tcp(8080);
    let ranks = port == Port::tcp(METRICS) || port == Port::tcp(METRICS + 1);
    let dns = [Port::udp(53), Port::tcp(53), Port::udp(5353), Port::tcp(5353)].contains(&port);
    let leave_to_come = match to {
        "operator" => from == "prometheus" && metrics,
        "trainer" => (from == "operator" || from == "prometheus") && ranks,
        _ => true,
    };
    let leave_to_go = match from {
        "operator" => match to {
            "dns" => dns,
            "trainer" => ranks,
            // Its address cannot be told from others by default.
            API_SERVER | "the internet" => port == Port::tcp(443) || port == Port::tcp(6443),
            _ => false,
        },
        // A job's own rules are tested beside their code; here it stays inside but for names.
        "trainer" => dns,
        _ => true,
    };
    leave_to_come && leave_to_go
}

fn ports() -> [Port; 12] {
    [
        Port::tcp(8080),
        Port::tcp(METRICS),
        Port::tcp(METRICS + 1),
        Port::tcp(METRICS + 2),
        Port::tcp(29500),
        Port::tcp(443),
        Port::tcp(6443),
        Port::tcp(22),
        Port::udp(53),
        Port::tcp(53),
        Port::udp(5353),
        Port::tcp(5353),
    ]
}

#[test]
fn every_pair_is_as_it_should_be() {
    // `0.0.0.0/0` is no pod's address here: pods are told by their labels.
    for values in [json!({}), json!({ "fullnameOverride": "tuning", "nameOverride": "x" }), json!({ "watchNamespace": "ml" })] {
        let cluster = Cluster::new(&values);
        for port in ports() {
            for from in cluster.ends.keys() {
                for to in cluster.ends.keys().filter(|to| *to != from) {
                    assert_eq!(cluster.reaches(from, to, port), should(from, to, port), "{values}: {from} -> {to} on {port:?}");
                }
            }
        }
    }
}

#[test]
fn who_may_read_the_trainers_metrics_is_a_value() {
    let metrics = Port::tcp(METRICS);
    let elsewhere = Cluster::new(&json!({ "trainer": { "metricsFrom": ["other"] } }));
    assert_eq!(["prometheus", "far stranger"].map(|from| elsewhere.reaches(from, "trainer", metrics)), [false, true]);
    assert!(!elsewhere.reaches("far stranger", "trainer", Port::tcp(29500)), "metrics and nothing else");
    assert!(!Cluster::new(&json!({ "trainer": { "metricsFrom": [] } })).reaches("prometheus", "trainer", metrics));
}

#[test]
fn an_operator_of_one_namespace_reaches_trainers_of_no_other() {
    assert!(Cluster::new(&json!({ "watchNamespace": "ml" })).reaches("operator", "trainer", Port::tcp(METRICS)));
    assert!(!Cluster::new(&json!({ "watchNamespace": "other" })).reaches("operator", "trainer", Port::tcp(METRICS)));
}

#[test]
fn values_open_and_narrow_the_policy() {
    let closed = Cluster::new(&json!({ "networkPolicy": { "metricsFrom": [] } }));
    assert!(!closed.reaches("prometheus", "operator", Port::tcp(8080)), "an empty list lets nobody in");
    let elsewhere = json!({ "networkPolicy": { "metricsFrom": [{ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "other" } } }] } });
    let elsewhere = Cluster::new(&elsewhere);
    assert_eq!(["prometheus", "far stranger"].map(|from| elsewhere.reaches(from, "operator", Port::tcp(8080))), [false, true]);
    let narrow = Cluster::new(&json!({ "networkPolicy": { "apiServerCIDRs": ["10.96.0.1/32"], "apiServerPorts": [443] } }));
    let reached = [API_SERVER, "the internet"].map(|to| [443, 6443].map(|port| narrow.reaches("operator", to, Port::tcp(port))));
    assert_eq!(reached, [[true, false], [false, false]]);
    let traced = Cluster::new(&json!({ "otlp": { "endpoint": "https://otel.example.com:4318/v1/traces" } }));
    assert_eq!([4318, 4317].map(|port| traced.reaches("operator", "far stranger", Port::tcp(port))), [true, false]);
    let nodes = Cluster::new(&json!({ "networkPolicy": { "kubeletCIDRs": ["10.96.0.0/16"] } }));
    assert_eq!([API_SERVER, "the internet"].map(|from| nodes.reaches(from, "operator", Port::tcp(8080))), [true, false]);
}

#[test]
fn without_the_policy_nothing_is_closed() {
    let open = Cluster::new(&json!({ "networkPolicy": { "enabled": false } }));
    assert!(open.reaches("stranger", "operator", Port::tcp(8080)) && open.reaches("operator", "the internet", Port::tcp(22)));
}
