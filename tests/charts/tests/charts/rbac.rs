//! Who may do what.

use crate::modes::{all, one, render};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use temper_chart_tests::Manifest;

/// What the operator does, and why. A verb that is missing here is not given.
const USED: [(&str, &str, &[&str]); 11] = [
    ("temper.dev", "finetunejobs", &["get", "list", "watch"]),
    ("temper.dev", "finetunejobs/status", &["patch"]),
    ("temper.dev", "finetunejobs/finalizers", &["update"]),
    ("temper.dev", "modelversions", &["get", "list", "watch", "create"]),
    ("batch", "jobs", &["get", "list", "watch", "create", "patch", "delete"]),
    ("", "pods", &["list", "watch"]),
    ("", "configmaps", &["list", "watch", "create", "patch", "delete"]),
    ("", "services", &["list", "watch", "create", "patch", "delete"]),
    ("", "persistentvolumeclaims", &["list", "watch", "create", "patch", "delete"]),
    ("networking.k8s.io", "networkpolicies", &["list", "watch", "create", "patch", "delete"]),
    ("events.k8s.io", "events", &["list", "create", "patch"]),
];

/// Verbs by group and resource.
type Rights = BTreeMap<(String, String), BTreeSet<String>>;

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn rights(role: &Manifest) -> Rights {
    let mut rights = Rights::new();
    for rule in role.at("/rules").as_array().expect("a role has rules") {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.entry((group.clone(), resource)).or_default().extend(texts(&rule["verbs"]));
            }
        }
    }
    rights
}

fn expected() -> Rights {
    let right = |(group, resource, verbs): &(&str, &str, &[&str])| {
        (((*group).to_owned(), (*resource).to_owned()), verbs.iter().map(|verb| (*verb).to_owned()).collect())
    };
    USED.iter().map(right).collect()
}

#[test]
fn the_operator_may_do_what_it_does_and_nothing_else() {
    let cluster = render(&json!({}));
    let mut with_machines = expected();
    with_machines.insert((String::new(), "nodes".to_owned()), ["list", "watch"].map(str::to_owned).into());
    assert_eq!(rights(one(&cluster, "ClusterRole", "temper-operator")), with_machines);
    let namespaced = render(&json!({ "watchNamespace": "team-a" }));
    let role = one(&namespaced, "Role", "temper-operator");
    assert_eq!((rights(role), role.namespace()), (expected(), "team-a"));
}

#[test]
fn only_its_own_lease_can_be_changed() {
    let manifests = render(&json!({}));
    let role = one(&manifests, "Role", "temper-operator-leader");
    assert_eq!(role.namespace(), "temper-system");
    let rules = role.at("/rules").as_array().expect("rules");
    for rule in rules {
        assert_eq!(
            (texts(&rule["apiGroups"]), texts(&rule["resources"])),
            (vec!["coordination.k8s.io".to_owned()], vec!["leases".to_owned()])
        );
        let named = texts(&rule["resourceNames"]);
        assert!(named == ["temper-operator"] || texts(&rule["verbs"]) == ["create"], "{rule}");
    }
}

/// No wildcard, no Secret, nothing inside of a pod, and nothing that gives oneself more rights.
#[test]
fn no_role_goes_too_far_in_any_mode() {
    const NEVER: [&str; 10] = [
        "secrets",
        "pods/exec",
        "pods/log",
        "pods/attach",
        "pods/portforward",
        "serviceaccounts",
        "serviceaccounts/token",
        "roles",
        "clusterroles",
        "nodes/proxy",
    ];
    let mut roles = 0;
    for mode in all() {
        for role in render(&mode.values).iter().filter(|manifest| manifest.kind().ends_with("Role")) {
            roles += 1;
            for ((group, resource), verbs) in rights(role) {
                let what = format!("{}: {} {}: {group}/{resource} {verbs:?}", mode.name, role.kind(), role.name());
                assert!(!group.contains('*') && !resource.contains('*') && !verbs.iter().any(|verb| verb.contains('*')), "{what}");
                assert!(!NEVER.contains(&resource.as_str()), "{what}");
                assert!(verbs.iter().all(|verb| !["bind", "escalate", "impersonate"].contains(&verb.as_str())), "{what}");
            }
        }
    }
    assert!(roles >= 10, "{roles} roles were looked at");
}

#[test]
fn every_binding_binds_a_role_that_is_there_to_the_operators_account() {
    for mode in all() {
        let manifests = render(&mode.values);
        let account = manifests.iter().find_map(|manifest| {
            let name = manifest.text("/spec/template/spec/serviceAccountName");
            (!name.is_empty()).then(|| (name.to_owned(), manifest.namespace().to_owned()))
        });
        let (account, namespace) = account.expect("the operator has an account");
        for binding in manifests.iter().filter(|manifest| manifest.kind().ends_with("RoleBinding")) {
            let role = one(&manifests, binding.text("/roleRef/kind"), binding.text("/roleRef/name"));
            assert_eq!(role.namespace(), binding.namespace(), "{}", mode.name);
            assert_eq!(
                binding.at("/subjects"),
                &json!([{ "kind": "ServiceAccount", "name": account, "namespace": namespace }]),
                "{}",
                mode.name
            );
        }
    }
}

#[test]
fn people_get_temper_with_the_roles_they_have() {
    let manifests = render(&json!({}));
    let verbs = |name: &str| rights(one(&manifests, "ClusterRole", name)).into_values().flatten().collect::<BTreeSet<_>>();
    let label = |name: &str, to: &str| {
        let role = one(&manifests, "ClusterRole", name);
        role.text(&format!("/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-{to}")) == "true"
    };
    assert_eq!(["admin", "edit", "view"].map(|to| label("temper-view", to)), [true; 3]);
    assert_eq!(["admin", "edit", "view"].map(|to| label("temper-edit", to)), [true, true, false]);
    assert_eq!(verbs("temper-view"), ["get", "list", "watch"].map(str::to_owned).into());
    assert!(verbs("temper-edit").contains("create") && verbs("temper-edit").contains("delete"));
}
