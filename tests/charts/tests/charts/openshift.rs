//! OpenShift: it assigns users and groups itself, and its DNS is elsewhere. Its rules are said once more here, since there is none to ask.

use crate::arguments::parsed;
use crate::modes::render;
use crate::network::{Cluster, deployment, job};
use serde_json::Value;
use temper_chart_tests::repository;
use temper_policy::network::Port;
use temper_policy::pod_security;

/// The values that the chart's README gives for it.
fn values() -> Value {
    let readme = repository::read("charts/temper/README.template.md").expect("the template");
    let (_, rest) = readme.split_once("- **OpenShift**").expect("it is in the list");
    let (_, rest) = rest.split_once("```yaml\n").expect("values stand below");
    let (block, _) = rest.split_once("```").expect("they end");
    let lines: String = block.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect();
    serde_saphyr::from_str(&lines).unwrap_or_else(|error| panic!("{error}:\n{lines}"))
}

/// Its policy `restricted-v2` takes only users and groups of the namespace's range, which nobody knows before.
#[track_caller]
fn assert_names_nobody(template: &Value) {
    for context in [&template["spec"]["securityContext"], &template["spec"]["containers"][0]["securityContext"]] {
        for field in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert!(context[field].is_null(), "{field} of {context}");
        }
    }
    assert_eq!(pod_security::violations(template), [""; 0], "{template:#}");
}

#[test]
fn with_the_readmes_values_no_pod_names_a_user() {
    let manifests = render(&values());
    let pods: Vec<&Value> = manifests.iter().filter_map(|manifest| manifest.pod()).collect();
    assert_eq!(pods.len(), 2, "the operator's and the test's");
    pods.into_iter().for_each(assert_names_nobody);
    let objects = job(&parsed(deployment(&manifests)));
    let trains = objects.iter().find(|object| object.kind() == "Job").expect("a job").to_value();
    assert_names_nobody(&trains["spec"]["template"]);
}

#[test]
fn with_them_names_are_resolved_where_its_dns_pods_listen() {
    let cluster = Cluster::new(&values());
    for port in [Port::udp(5353), Port::tcp(5353)] {
        for from in ["operator", "trainer"] {
            assert!(cluster.reaches(from, "OpenShift's dns", port), "{from} on {port:?}");
        }
    }
    assert!(!cluster.reaches("operator", "OpenShift's dns", Port::tcp(8080)), "names and nothing else");
}
